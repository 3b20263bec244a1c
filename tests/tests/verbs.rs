//! What verbs do with images and with many containers, where no other file of tests is about it.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Registry, run, tool, until};
    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};
    use std::fs;

    const IMAGE: &str = "example.com/busybox:1";

    fn ready() -> Gaufre {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, IMAGE);
        gaufre
    }

    fn lines(text: &str) -> Vec<&str> {
        text.lines().collect()
    }

    #[test]
    fn an_image_is_pulled_when_the_policy_says() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        let name = registry.image("changes");
        let push = |word: &str| {
            let image = Crafted::busybox().config("Cmd", json!(["echo", word]));
            registry.push(&format!("oci:{}:x", image.layout("x").display()), "changes");
        };
        let run = |when: &str| {
            let policy = format!("--pull={when}");
            gaufre.say(&["run", "--rm", "-q", "--network=none", "--tls-verify=false", &policy, &name])
        };
        assert_eq!(run("never").code, 125);
        push("old");
        assert_eq!(run("missing").out, "old\n");
        push("new");
        assert_eq!(run("missing").out, "old\n");
        assert_eq!(run("never").out, "old\n");
        assert_eq!(run("newer").out, "new\n");
        push("newest");
        assert_eq!(run("always").out, "newest\n");
        drop(registry);
        assert_eq!(run("missing").out, "newest\n");
        assert_eq!(run("newer").out, "newest\n", "an image that is here serves when the registry does not");
        assert_eq!(run("always").code, 125);
    }

    #[test]
    fn the_platform_asked_for_is_chosen_from_an_index() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        let (ours, theirs) = (Crafted::busybox(), Crafted::busybox().top("architecture", json!("arm64")));
        let layout = gaufre.dir().join("layout");
        run(tool("cp").arg("-r").arg(ours.layout("x")).arg(&layout));
        run(tool("cp").arg("-r").arg(theirs.layout("x").join("blobs")).arg(&layout));
        let read = |image: &Crafted| -> Value {
            serde_json::from_slice(&fs::read(image.layout("x").join("index.json")).unwrap()).unwrap()
        };
        let entry = |image: &Crafted, architecture: &str| {
            let mut entry = read(image)["manifests"][0].clone();
            entry.as_object_mut().unwrap().remove("annotations");
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        };
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry(&theirs, "arm64"), entry(&ours, "amd64")]});
        let digest = hex::encode(Sha256::digest(index.to_string()));
        fs::write(layout.join("blobs/sha256").join(&digest), index.to_string()).unwrap();
        let entry = json!({"mediaType": index["mediaType"], "digest": format!("sha256:{digest}"),
            "size": index.to_string().len()});
        fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string())
            .unwrap();
        let name = registry.image("both");
        let mut skopeo = tool("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--all", "--quiet", "--dest-tls-verify=false"]);
        run(skopeo.args([format!("oci:{}", layout.display()), format!("docker://{name}")]));

        let architecture = || gaufre.ok(&["inspect", "--format", "{{.Architecture}}", &name]);
        gaufre.ok(&["pull", "-q", "--tls-verify=false", &name]);
        assert_eq!(architecture(), "amd64\n");
        assert_eq!(gaufre.ok(&["run", "--rm", "--network=none", &name, "echo", "runs"]), "runs\n");
        gaufre.ok(&["pull", "-q", "--tls-verify=false", "--platform=linux/arm64", &name]);
        assert_eq!(architecture(), "arm64\n");
        let said = gaufre
            .fails(125, &["run", "--rm", "--network=none", "--pull=never", "--platform=linux/arm64", &name]);
        assert!(said.contains("arm64"), "{said}");
        let said = gaufre.fails(125, &["pull", "-q", "--tls-verify=false", "--platform=linux/s390x", &name]);
        assert!(said.contains("s390x") && said.contains("amd64") && said.contains("arm64"), "{said}");
    }

    #[test]
    fn names_of_images_come_and_go_and_the_last_takes_the_image_along() {
        let gaufre = ready();
        gaufre.ok(&["tag", IMAGE, "mine:1", "mine:2"]);
        let id = gaufre.ok(&["inspect", "--format", "{{.Id}}", "mine:1"]);
        assert_eq!(lines(&gaufre.ok(&["images", "--noheading"])).len(), 3);
        let said = gaufre.fails(2, &["rmi", &id[..12]]);
        assert!(said.contains("mine:2") && said.contains("--force"), "{said}");
        gaufre.ok(&["untag", IMAGE, "mine:1"]);
        gaufre.ok(&["rmi", "mine:2"]);
        gaufre.ok(&["create", "--name=user", "--network=none", IMAGE, "true"]);
        let said = gaufre.fails(2, &["rmi", IMAGE]);
        assert!(said.contains("--force") || said.contains("user"), "{said}");
        gaufre.fails(1, &["rmi", "no/such:image"]);
        gaufre.fails(125, &["tag", "no/such:image", "x"]);
        gaufre.ok(&["rmi", "--force", IMAGE]);
        assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]) + &gaufre.ok(&["images", "--quiet"]), "");
    }

    #[test]
    fn containers_are_listed_by_what_is_asked_of_them() {
        let gaufre = ready();
        gaufre.ok(&["run", "-d", "--name=runs", "--network=none", "--label=kind=a", IMAGE, "sleep", "1000"]);
        gaufre.say(&["run", "--name=ended", "--network=none", "--label=kind=b", IMAGE, "sh", "-c", "exit 3"]);
        gaufre.ok(&["create", "--name=made", "--network=none", IMAGE, "true"]);
        let names = |options: &[&str]| {
            let said = gaufre.ok(&[&["ps", "--format", "{{.Names}}"], options].concat());
            let mut names: Vec<String> = said.lines().map(str::to_owned).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(&[]), "runs");
        assert_eq!(names(&["-a"]), "ended made runs");
        assert_eq!(names(&["--latest"]), "made");
        assert_eq!(names(&["-n", "2"]), "ended made");
        assert_eq!(names(&["-a", "--filter", "status=exited"]), "ended");
        assert_eq!(names(&["-a", "--filter", "label=kind"]), "ended runs");
        assert_eq!(names(&["-a", "--filter", "label=kind=b"]), "ended");
        assert_eq!(names(&["-a", "--filter", "name=ma"]), "made");
        assert_eq!(names(&["-a", "--filter", &format!("ancestor={IMAGE}")]), "ended made runs");
        let list: Value = serde_json::from_str(&gaufre.ok(&["ps", "-a", "--format=json"])).unwrap();
        assert_eq!(list.as_array().map(Vec::len), Some(3));
        assert_eq!(gaufre.ok(&["wait", "ended", "ended"]), "3\n3\n");
        gaufre.fails(125, &["ps", "--filter", "colour=brown"]);
    }

    #[test]
    fn a_signal_reaches_the_workload_by_name_and_by_number() {
        let gaufre = ready();
        let script = "trap 'echo one' USR1; trap 'echo two' USR2; echo ready; while :; do sleep 0.05; done";
        gaufre.ok(&["run", "-d", "--name=hears", "--network=none", IMAGE, "sh", "-c", script]);
        let heard = |what: &str| {
            until(what, || gaufre.ok(&["logs", "hears"]).contains(what).then_some(()));
        };
        heard("ready");
        gaufre.ok(&["kill", "-s", "USR1", "hears"]);
        heard("one");
        gaufre.ok(&["kill", "--signal=12", "hears"]);
        heard("two");
        gaufre.fails(125, &["kill", "-s", "WAFFLE", "hears"]);
        let stamped = gaufre.ok(&["logs", "--timestamps", "hears"]);
        for line in stamped.lines() {
            // 2024-01-02T03:04:05.678901234Z ready
            assert!(line.as_bytes()[10] == b'T' && line.split(' ').count() == 2, "{stamped}");
        }
        gaufre.ok(&["kill", "hears"]);
        assert_eq!(gaufre.ok(&["wait", "hears"]), "137\n");
    }

    #[test]
    fn what_nobody_uses_is_pruned_and_counted_before() {
        let gaufre = ready();
        gaufre.ok(&["run", "-d", "--name=runs", "--network=none", IMAGE, "sleep", "1000"]);
        gaufre.ok(&["run", "--name=ended", "--network=none", IMAGE, "true"]);
        Crafted::busybox().config("Cmd", json!(["true"])).load(&gaufre, "example.com/unused:1");
        let list: Value = serde_json::from_str(&gaufre.ok(&["system", "df", "--format=json"])).unwrap();
        let of =
            |kind: &str| list.as_array().unwrap().iter().find(|row| row["Type"] == kind).unwrap().clone();
        assert_eq!((&of("Images")["Total"], &of("Containers")["Total"]), (&json!(2), &json!(2)), "{list}");
        gaufre.ok(&["system", "prune", "--force"]);
        assert_eq!(gaufre.ok(&["ps", "-a", "--format", "{{.Names}}"]), "runs\n");
        assert_eq!(lines(&gaufre.ok(&["images", "-n"])).len(), 2, "an image with a name was pruned");
        gaufre.ok(&["system", "prune", "--all", "--force"]);
        assert_eq!(gaufre.ok(&["images", "--format", "{{.Repository}}"]), "example.com/busybox\n");
        assert_eq!(gaufre.ok(&["exec", "runs", "echo", "still"]), "still\n");
    }

    #[test]
    fn bars_are_drawn_on_a_terminal_and_lines_written_elsewhere() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = registry.image("base");
        let said = gaufre.say(&["pull", "--tls-verify=false", &image]);
        assert!(said.err.lines().count() >= 2 && !said.err.contains(['\u{1b}', '\r']), "{said:?}");
        gaufre.ok(&["rmi", &image]);
        let command = gaufre.command();
        let words = command.get_args().map(|word| word.to_str().unwrap().to_owned());
        let words: Vec<String> =
            words.chain(["pull".into(), "--tls-verify=false".into(), image.clone()]).collect();
        let line = format!("stty cols 100; {} {}", gaufre.binary().display(), words.join(" "));
        let shown = run(tool("script").args(["-qefc", &line, "/dev/null"]).env("HOME", gaufre.dir()));
        assert!(shown.contains('\u{1b}') || shown.contains('\r'), "{shown:?}");
        gaufre.ok(&["rmi", &image]);
        let said = gaufre.say(&["pull", "--quiet", "--tls-verify=false", &image]);
        assert_eq!((said.err.as_str(), said.out.lines().count()), ("", 1), "{said:?}");
    }
}
