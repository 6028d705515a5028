//! `procura`: a mail transport that decides who may send as whom.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod config;

fn main() {
    print!("{}", config::keys::commented(&[]));
}
