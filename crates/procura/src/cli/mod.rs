//! The command line: what may be typed ([`args`]), what it asks ([`requests`]), and how results are shown ([`output`]).

pub mod apply;
pub mod args;
mod diff;
pub mod fault;
mod html;
pub mod lifecycle;
pub mod output;
pub mod pages;
pub mod report;
pub mod requests;
mod rows;
pub mod run;
mod separation;
mod shown;
pub mod tools;
