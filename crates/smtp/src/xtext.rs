//! xtext (RFC 3461 §4): printable ASCII with `+XX` for everything else.
