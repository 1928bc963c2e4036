"""The search engine: BM25 over title, description, bullet points, options, attributes (tantivy, in memory).

Equal words give equal results in an equal order: hits of one score are sorted by ASIN.
"""

import re
from collections.abc import Sequence

import tantivy

from envs.webshop.catalogue import Product

SHOWN = 50
"""The most results of a search (WebShop's `SEARCH_RETURN_N`)."""
MAX_WORDS = 100
"""Words of a query after these are not looked at."""
FIELDS = {"title": 2.0, "bullets": 1.0, "description": 0.5, "options": 1.0, "attributes": 1.5}
"""What is searched, and how much it weighs."""
ORDINAL = "ordinal"
TOKENIZER = "shop"
HEAP = 32_000_000
"""Memory of the index writer, bytes; it is given back when the index is built."""
NO_TEXT = re.compile(r"[\x00-\x1f\ud800-\udfff]")
"""Control characters and halves of surrogate pairs, which are no text."""


class SearchEngine:
    """An index of products.

    Args:
        products: What can be found.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        self._asins = sorted(product.asin for product in products)
        self._analyzer = _analyzer()
        builder = tantivy.SchemaBuilder()
        for name in FIELDS:
            builder.add_text_field(name, tokenizer_name=TOKENIZER)
        builder.add_unsigned_field(ORDINAL, stored=True, fast=True)
        self._schema = builder.build()
        index = tantivy.Index(self._schema)
        index.register_tokenizer(TOKENIZER, self._analyzer)
        ordinals = {asin: ordinal for ordinal, asin in enumerate(self._asins)}
        writer = index.writer(HEAP, 1)
        for product in sorted(products, key=lambda product: product.asin):
            writer.add_document(_document(product, ordinals[product.asin]))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def search(self, words: str) -> tuple[str, ...]:
        """The ASINs of the best products for some words, the best first; at most 50."""
        query = self._query(words)
        if query is None:
            return ()
        ranked = sorted((-score, self._ordinal(address)) for score, address in self._hits(query))
        return tuple(self._asins[ordinal] for _, ordinal in ranked[:SHOWN])

    def _query(self, words: str) -> tantivy.Query | None:
        terms = list(dict.fromkeys(self._analyzer.analyze(NO_TEXT.sub(" ", words))))[:MAX_WORDS]
        clauses = [
            (
                tantivy.Occur.Should,
                tantivy.Query.boost_query(tantivy.Query.term_query(self._schema, name, term), weight),
            )
            for term in terms
            for name, weight in FIELDS.items()
        ]
        return tantivy.Query.boolean_query(clauses) if clauses else None

    def _hits(self, query: tantivy.Query) -> list[tuple[float, tantivy.DocAddress]]:
        """The best hits, and all that score as the last of them does: a tie is not cut in two."""
        limit = SHOWN
        while True:
            hits = self._searcher.search(query, limit + 1, count=False).hits
            if len(hits) <= limit or hits[limit][0] < hits[SHOWN - 1][0]:
                return hits
            limit *= 4

    def _ordinal(self, address: tantivy.DocAddress) -> int:
        return self._searcher.doc(address)[ORDINAL][0]


def _analyzer() -> tantivy.TextAnalyzer:
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(60))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stopword("english"))
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def _document(product: Product, ordinal: int) -> tantivy.Document:
    document = tantivy.Document()
    document.add_text("title", product.title)
    document.add_text("description", product.description)
    document.add_text("bullets", " ".join(product.bullets))
    document.add_text("options", " ".join(value for values in product.options.values() for value in values))
    document.add_text("attributes", " ".join(product.attributes))
    document.add_unsigned(ORDINAL, ordinal)
    return document
