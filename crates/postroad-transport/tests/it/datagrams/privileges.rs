//! Without the privilege that raw sockets need. What works after it was dropped is the example of the module `raw`, since
//! that takes a process with one thread.

use postroad_transport::{ErrorKind, raw};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

#[test]
fn without_the_privilege_the_error_says_how_to_get_it() {
    // Capabilities belong to a thread.
    let alone = std::thread::spawn(|| {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        [raw::available().unwrap_err(), raw::Config::new(121).open().unwrap_err()]
    });
    for error in alone.join().unwrap() {
        assert_eq!(error.kind(), ErrorKind::Privilege, "{error}");
        for word in ["CAP_NET_RAW", "sudo setcap cap_net_raw+ep /", "as root", "unshare -rn"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn privileges_are_not_dropped_in_one_of_several_threads() {
    // The test has a thread of its own, and there is the one that started it.
    let error = std::thread::spawn(raw::drop_privileges).join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.remedy().contains("before the runtime"), "{error}");
}
