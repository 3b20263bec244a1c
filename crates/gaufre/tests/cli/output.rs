//! What is printed where, and in which form.

use serde_json::Value;

use crate::world::World;

#[test]
fn lists_are_json_with_podmans_names() {
    let world = World::new();
    let id = world.said(&["create", "--name", "web", "-p", "127.0.0.1:0:80", "-l", "a=b", &world.image]);
    let all: Value = serde_json::from_str(&world.said(&["ps", "-a", "--format", "json"])).unwrap();
    let web = &all[0];
    assert_eq!(web["Id"], id.as_str());
    assert_eq!(web["Names"][0], "web");
    assert_eq!(web["State"], "created");
    assert_eq!(web["Labels"]["a"], "b");
    assert_eq!(web["Ports"][0]["container_port"], 80);
    let images: Value = serde_json::from_str(&world.said(&["images", "--format", "json"])).unwrap();
    assert_eq!(images[0]["Names"][0], world.image.as_str());
    assert_eq!(images[0]["Containers"], 1);
    let inspected: Value = serde_json::from_str(&world.said(&["inspect", "web"])).unwrap();
    assert_eq!(inspected[0]["Id"], id.as_str());
    for args in [
        &["info", "--format", "json"][..],
        &["version", "--format", "json"],
        &["system", "df", "--format", "json"],
    ] {
        serde_json::from_str::<Value>(&world.said(args)).unwrap();
    }
}

#[test]
fn progress_goes_to_standard_error_and_the_id_to_standard_output() {
    let world = World::new();
    let output = world.gaufre(&["pull", "--tls-verify=false", &world.image]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(out.trim_end().len(), 64, "{out}");
    assert!(err.starts_with(&format!("Trying to pull {}...\n", world.image)), "{err}");
    assert!(err.contains("skipped: already there"), "{err}");
}

#[test]
fn templates_beyond_fields_are_refused_by_name() {
    let world = World::new();
    let (code, error) = world.failed(&["ps", "--format", "{{range .}}"]);
    assert_eq!(code, 125);
    assert!(error.contains("{{range .}}") && error.contains("hint:"), "{error}");
}

#[test]
fn a_sound_store_is_called_sound() {
    let world = World::new();
    assert!(world.said(&["system", "check"]).ends_with("Nothing is wrong."));
}

#[test]
fn filters_of_one_key_widen_a_list_and_of_another_narrow_it() {
    let world = World::new();
    for (name, label) in [("cache", "a=1"), ("cache2", "a=2"), ("web", "a=1")] {
        world.said(&["create", "--name", name, "-l", label, "-l", "b", &world.image]);
    }
    let names = |filters: &[&str]| {
        let mut args = vec!["ps", "-a", "--format", "{{.Names}}"];
        filters.iter().for_each(|filter| args.extend(["-f", filter]));
        let mut names: Vec<String> = world.said(&args).lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&["name=^cache$"]), "cache");
    assert_eq!(names(&["name=cache"]), "cache cache2");
    assert_eq!(names(&["name=^web$", "name=2"]), "cache2 web");
    assert_eq!(names(&["status=exited", "status=created"]), "cache cache2 web");
    assert_eq!(names(&["status=exited"]), "");
    assert_eq!(names(&["label=a=1", "name=cache"]), "cache");
    assert_eq!(names(&["label=a=1", "label=a=2"]), "");
    let (code, error) = world.failed(&["ps", "-f", "name=("]);
    assert!(code == 125 && error.contains("'(' is no regular expression"), "{error}");
    assert_eq!(world.said(&["volume", "ls"]), "");
    world.said(&["volume", "create", "-d", "local", "data"]);
    let (_, error) = world.failed(&["volume", "create", "--driver", "nfs", "x"]);
    assert!(error.contains("there is no driver 'nfs'") && !error.contains("See"), "{error}");
    world.said(&["volume", "create", "data2"]);
    assert_eq!(world.said(&["volume", "ls", "-q", "-f", "name=^data$"]), "data");
    assert_eq!(world.said(&["volume", "ls", "-q", "-f", "name=^x", "-f", "name=2$"]), "data2");
}
