//! The command line: what may be typed ([`args`]), what it does (one file per family of commands), and how results are
//! shown ([`output`]).

pub mod args;
