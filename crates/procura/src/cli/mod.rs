//! The command line: what may be typed ([`args`]), what it asks ([`requests`]), and how results are shown ([`output`]).

pub mod args;
pub mod fault;
pub mod output;
pub mod pages;
pub mod requests;
