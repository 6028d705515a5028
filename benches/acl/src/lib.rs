//! Only benchmarks: see `benches/checks`.
