//! A container from its creation to its removal, with podman's outputs and exit codes.

use crate::world::World;

#[test]
fn a_container_lives_and_goes_as_podman_users_expect() {
    let world = World::new();
    let id =
        world.said(&["run", "-d", "--name", "web", "--network", "none", "-l", "tier=front", &world.image]);
    assert_eq!(id.len(), 64, "{id}");
    assert_eq!(world.said(&["ps", "-q"]), id[..12]);
    assert_eq!(world.said(&["ps", "-q", "--no-trunc"]), id);
    assert_eq!(world.said(&["inspect", "--format", "{{.Name}} {{.State.Status}}", "web"]), "web running");
    assert_eq!(
        world.said(&["exec", "web", "/gaufre", "version", "--format", "{{.Version}}"]),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(world.said(&["stop", "web"]), "web");
    assert_eq!(world.said(&["wait", "web"]), "0");
    assert_eq!(world.said(&["logs", "web"]), "listening on port 80");
    assert_eq!(world.said(&["ps", "-q"]), "");
    assert!(world.said(&["ps", "-a", "--format", "{{.Status}}"]).starts_with("Exited (0) "));
    assert_eq!(world.said(&["start", "web"]), "web");
    assert_eq!(world.said(&["kill", "--signal", "9", "web"]), "web");
    assert_eq!(world.said(&["wait", "web"]), "137");
    assert_eq!(world.said(&["rm", "web"]), "web");
    assert_eq!(world.said(&["ps", "-aq"]), "");
}

#[test]
fn exit_codes_are_podmans() {
    let world = World::new();
    let run = |words: &[&str]| world.failed(&[&["run", "--rm", "--network", "none"], words].concat());
    assert_eq!(run(&["--entrypoint", "/gaufre", &world.image, "--bogus"]).0, 125);
    assert_eq!(run(&["--entrypoint", "/missing", &world.image]).0, 127);
    assert_eq!(run(&["--entrypoint", "/", &world.image]).0, 126);
    assert_eq!(run(&["--memory", "lots", &world.image]).0, 125);
    assert_eq!(world.failed(&["rm", "nobody"]).0, 1);
    assert_eq!(world.failed(&["rmi", "nothing"]).0, 1);
    assert_eq!(world.failed(&["stop", "nobody"]).0, 125);
    assert_eq!(world.failed(&["inspect", "nobody"]).0, 125);
    assert_eq!(world.said(&["ps", "-aq"]), "", "a container that could not start was left by --rm");
    world.said(&["run", "-d", "--name", "web", "--network", "none", &world.image]);
    assert_eq!(world.failed(&["rm", "web"]).0, 2);
    assert_eq!(world.failed(&["rmi", &world.image]).0, 2);
    assert_eq!(world.failed(&["exec", "web", "/missing"]).0, 127);
    world.said(&["stop", "web"]);
    let (code, error) = world.failed(&["exec", "web", "/gaufre"]);
    assert_eq!(code, 255);
    assert!(error.contains("container web: it is not running"), "{error}");
    assert_eq!(world.failed(&["exec", "nobody", "/gaufre"]).0, 125);
}

#[test]
fn a_failure_does_not_keep_the_other_containers_waiting() {
    let world = World::new();
    for name in ["one", "two"] {
        world.said(&["create", "--name", name, "--network", "none", &world.image]);
    }
    let output = world.gaufre(&["rm", "one", "nobody", "two"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "one\ntwo\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nobody"));
}

#[test]
fn an_id_file_is_written_once_and_never_overwritten() {
    let world = World::new();
    let path = format!("/var/tmp/gaufre-cidfile-{}", std::process::id());
    let id = world.said(&["create", "--cidfile", &path, "--network", "none", &world.image]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), id);
    let (code, error) = world.failed(&["create", "--cidfile", &path, "--network", "none", &world.image]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, 125);
    assert!(error.contains(&path), "{error}");
    assert_eq!(world.said(&["ps", "-aq"]), id[..12]);
}

#[test]
fn errors_name_a_container_by_its_name() {
    let world = World::new();
    let id = world.said(&["create", "--name", "web", "--network", "none", &world.image]);
    world.said(&["create", "--name", "other", "--network", "none", &world.image]);
    world.said(&["start", "other"]);
    let (_, error) = world.failed(&["rm", "other"]);
    assert!(
        error.contains("container other: it is running") && error.contains("gaufre stop other"),
        "{error}"
    );
    for verb in ["kill", "attach"] {
        let (_, error) = world.failed(&[verb, "web"]);
        assert!(error.contains("container web") && !error.contains(&id[..12]), "{error}");
    }
}

#[test]
fn the_end_of_the_input_is_no_consent() {
    let world = World::new();
    world.said(&["volume", "create", "data"]);
    for words in [&["volume", "prune"][..], &["system", "prune", "-a"], &["system", "reset"]] {
        let output = world.gaufre(words);
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert!(output.stdout.ends_with(b"[y/N] \n"), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is removed"), "{output:?}");
    }
    assert_eq!(world.said(&["volume", "ls", "-q"]), "data");
    assert_ne!(world.said(&["images", "-q"]), "");
}

#[test]
fn where_there_is_nothing_to_remove_nothing_is_asked() {
    let world = World::new();
    assert_eq!(world.said(&["system", "prune", "--volumes"]), "Total reclaimed space: 0 B");
    assert_eq!(world.said(&["volume", "prune"]), "");
    world.said(&["volume", "create", "data"]);
    assert_eq!(world.said(&["volume", "prune", "--filter", "name=other"]), "");
    assert_eq!(world.said(&["system", "prune"]), "Total reclaimed space: 0 B");
    for (flag, what) in [("--all", "an image"), ("--volumes", "a volume")] {
        assert_eq!(world.failed(&["system", "prune", flag]).0, 125, "{what}");
    }
    world.said(&["create", "--network", "none", &world.image]);
    assert_eq!(world.failed(&["system", "prune"]).0, 125, "a container");
}

#[test]
fn ps_shows_ports_and_times_as_podman_does() {
    let world = World::new();
    world.said(&["create", "-p", "8000-8002:8000-8002", "-p", "53:53/udp", &world.image]);
    let said = world.said(&["ps", "-a", "--format", "{{.Ports}}|{{.CreatedAt}}"]);
    let (ports, created) = said.split_once('|').unwrap();
    assert_eq!(ports, "0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:53->53/udp");
    let shape: String = created.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00 00:00:00") && shape.ends_with(" +0000 UTC"), "{created}");
    let listed: serde_json::Value =
        serde_json::from_str(&world.said(&["ps", "-a", "--format", "json"])).unwrap();
    assert_eq!((&listed[0]["Ports"][0]["range"], &listed[0]["Ports"][1]["range"]), (&3.into(), &1.into()));
}
