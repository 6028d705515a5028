#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    if let Ok(filter) = directory::filter::Filter::parse(input) {
        // Whatever it is, it can be asked.
        let _ = filter.fits(&directory::Snapshot::empty(), directory::ObjectId(0));
    }
});
