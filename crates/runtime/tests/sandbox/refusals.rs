//! What is not honoured is refused by name.

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn fields_that_are_not_honoured_are_named() {
    for (pointer, value, name) in [
        ("/process/apparmorProfile", json!("x"), "process.apparmorProfile"),
        ("/process/selinuxLabel", json!("x"), "process.selinuxLabel"),
        ("/linux/mountLabel", json!("x"), "linux.mountLabel"),
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt"),
        ("/hooks", json!({"poststop": [{"path": "/bin/true"}]}), "hooks.poststop"),
        ("/linux/uidMappings", json!([{"hostID": 0, "containerID": 0, "size": 1}]), "linux.uidMappings"),
        ("/linux/rootfsPropagation", json!("sideways"), "sideways"),
        ("/process/cwd", json!("relative"), "process.cwd"),
        ("/process/args", json!([]), "process.args"),
        ("/process/env", json!(["novalue"]), "process.env"),
        ("/process/oomScoreAdj", json!(5000), "process.oomScoreAdj"),
        ("/ociVersion", json!("3.0"), "ociVersion"),
    ] {
        let error = Bundle::sh("true").with(pointer, value).failure();
        assert!(error.contains(name), "{pointer}: {error}");
    }
}

#[test]
fn a_mount_option_that_is_not_honoured_is_named() {
    let mount = json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["tmpcopyup"]});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("tmpcopyup") && error.contains("/x"), "{error}");
}

#[test]
fn a_missing_bind_source_is_named_and_leaves_nothing() {
    let mount = json!({"destination": "/x", "type": "bind", "source": "/no/such/thing", "options": ["bind"]});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("/no/such/thing"), "{error}");
}
