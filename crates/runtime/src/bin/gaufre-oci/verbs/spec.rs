//! spec: a configuration to begin with.

use std::fs;
use std::io::Write;
use std::path::Path;

use oci_spec::runtime::Spec;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{Args, flag, value};
use crate::command::{Command, Failure, Outcome};
use crate::global::Global;

pub(crate) const SPEC: Command = Command {
    name: "spec",
    operands: "",
    about: "Write a configuration to begin with, config.json",
    options: &[
        value("bundle", "b", "DIR", "into this directory (default .)"),
        flag("rootless", "", "for a user who is not root"),
    ],
    operand_count: usize::MAX,
    run,
};

fn run(_: &Global, args: &Args) -> Outcome {
    args.no_more(0)?;
    let path = Path::new(args.value("bundle").unwrap_or(".")).join("config.json");
    let mut spec = serde_json::to_value(gaufre_runtime::spec::default_spec())?;
    if args.has("rootless") {
        make_rootless(&mut spec);
    }
    let text = pretty(&serde_json::from_value(spec)?)?;
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|error| format!("{}: {error}", path.display()))?;
    file.write_all(&text)?;
    Ok(0)
}

/// With tabs, as runc writes it.
fn pretty(spec: &Spec) -> Result<Vec<u8>, Failure> {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut text = Vec::new();
    spec.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    Ok(text)
}

/// What a user can have: a user namespace in which the user is root, the host's network, /sys bound rather than
/// mounted, no limits (the user's own cgroup need not be delegated) and no group of the terminals.
fn make_rootless(spec: &mut Value) {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if let Some(namespaces) = spec.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut) {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
    }
    spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
    spec["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": gid, "size": 1 }]);
    if let Some(linux) = spec["linux"].as_object_mut() {
        linux.remove("resources");
    }
    let Some(mounts) = spec["mounts"].as_array_mut() else { return };
    for mount in mounts {
        if mount["destination"] == "/sys" {
            mount["type"] = json!("none");
            mount["source"] = json!("/sys");
            mount["options"] = json!(["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
        if let Some(options) = mount["options"].as_array_mut() {
            let of_ids = |option: &Value| {
                let word = option.as_str().unwrap_or_default();
                word.starts_with("gid=") || word.starts_with("uid=")
            };
            options.retain(|option| !of_ids(option));
        }
    }
}
