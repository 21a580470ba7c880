//! The settings of migration: what is asked before anything moves.

use crate::migration::Vm;

/// Settings of another profile must not show, nor get in the way.
#[test]
fn the_parameters_are_those_of_the_profile() {
    for (options, has_newer) in [("", false), ("-profile 11.1", true)] {
        let parameters = Vm::new(options).ask("query-migrate-parameters");
        assert_eq!(parameters["max-bandwidth"], 134_217_728, "{options}");
        assert_eq!(
            parameters["cpr-exec-command"].is_array(),
            has_newer,
            "{options}"
        );
    }
}
