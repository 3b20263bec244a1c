//! The annotation that puts a workload under Landlock.

use serde_json::{Value, json};

use crate::bundle::Bundle;

const NAME: &str = "org.gaufre.landlock";

fn confined(bundle: Bundle, rules: &Value) -> Bundle {
    bundle.with("/annotations", json!({NAME: rules.to_string()}))
}

#[test]
fn the_workload_and_what_is_executed_reach_only_the_listed_paths() {
    let script = "cat /etc/secret; echo x > /etc/new; echo x > /tmp/new && echo written; ls /usr && echo listed; ls /var; cat /proc/self/comm; echo x > /dev/null && echo null";
    let rules = json!({"readOnly": ["/bin", "/usr"], "readWrite": ["/tmp", "/dev/null"]});
    let bundle = confined(Bundle::sh(&format!("{script}; sleep 60")), &rules);
    std::fs::write(bundle.rootfs().join("etc/secret"), "secret\n").unwrap();
    std::fs::create_dir(bundle.rootfs().join("var")).unwrap();
    bundle.start();
    let log = bundle.dir.path().join("log");
    let expected = "written\nlisted\nnull\n";
    crate::bundle::eventually("the workload", || std::fs::read_to_string(&log).unwrap().contains("null\n"));
    let said = std::fs::read_to_string(&log).unwrap();
    let plain: String =
        said.lines().filter(|line| !line.contains(": ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(plain, expected, "{said}");
    assert_eq!(said.matches("Permission denied").count(), 4, "{said}");
    let outcome = bundle.exec(script);
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    assert_eq!(outcome.stderr.matches("Permission denied").count(), 4, "{outcome:?}");
}

#[test]
fn rules_that_cannot_be_honoured_are_refused_by_name() {
    for (rules, word) in [
        (json!({"readOnly": ["/nowhere"]}), "/nowhere"),
        (json!({"readonly": []}), "readonly"),
        (json!({"readOnly": ["bin"]}), "absolute"),
        (json!("x"), NAME),
    ] {
        let error = confined(Bundle::sh("true"), &rules).failure();
        assert!(error.contains(NAME) && error.contains(word), "{error}");
    }
    let bundle = confined(Bundle::sh("true"), &json!({})).with("/process/noNewPrivileges", json!(false));
    assert!(bundle.failure().contains("noNewPrivileges"));
}
