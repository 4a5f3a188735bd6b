//! Profiles are what `docs/wire/smp121.md` says of them.

use smp121::Profile;
use std::time::Duration;

//= SMP121-O4
#[test]
fn the_presets_are_those_of_the_page() {
    let (spec, rdos) = (Profile::SPEC, Profile::RDOS);
    assert_eq!(Profile::default(), spec);
    for profile in [spec, rdos] {
        assert!(profile.echoes_name && profile.sends_reset_flag && profile.sends_reset_record && !profile.sends_busy);
        assert_eq!(Profile::by_name(profile.name), Some(profile));
    }
    assert_eq!((spec.segments, spec.acknowledges_parts, spec.rto_per_request), (true, true, false));
    assert_eq!((rdos.segments, rdos.acknowledges_parts, rdos.rto_per_request), (false, false, true));
    assert_eq!((spec.rto_initial, spec.rto_min), (Duration::from_secs(1), Duration::from_millis(200)));
    assert_eq!((rdos.rto_initial, rdos.rto_min), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!((spec.outstanding_max, rdos.outstanding_max), (16, 1));
    assert_eq!(Profile::by_name("RDOS"), None);
}

//= SMP121-O4
#[test]
fn settings_change_one_thing_each() {
    let busy = Profile::SPEC.with_busy(true);
    assert!(busy.sends_busy && busy.with_busy(false) == Profile::SPEC);
    let patient = Profile::SPEC.with_rto_min(Duration::from_millis(900));
    assert_eq!(patient.rto_min, Duration::from_millis(900));
    assert_eq!(patient.with_rto_min(Profile::SPEC.rto_min), Profile::SPEC);
    let very_patient = Profile::SPEC.with_rto_min(Duration::from_secs(9));
    assert_eq!(very_patient.rto_initial, very_patient.rto_min, "the first wait is no shorter than the least");
}
