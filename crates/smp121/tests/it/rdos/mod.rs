//! Against RDOS, the only deployed implementation, as `testkit::rdos` emulates it with its defects.

mod as_client;
mod as_server;
mod chaos;
mod spec_profile;
mod world;

use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
