//! Encoded words (RFC 2047) and quoting for display names.
