"""The services of Espalier: contracts, the kit they share, and the roles that speak HTTP."""
