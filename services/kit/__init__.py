"""What every service process shares: settings, app factory, problems, metrics, auth, model client."""
