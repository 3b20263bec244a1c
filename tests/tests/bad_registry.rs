//! A registry that is broken or lies: one clear error, nothing half-made, and nothing lost that was there.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Fault, FaultyRegistry, Gaufre, run, tool, until};
    use std::fs;
    use std::path::Path;
    use std::process::Stdio;
    use std::time::Duration;

    /// Pulls from a registry with `fault`, which has to fail, and returns what was said.
    fn refused(fault: Fault) -> String {
        let faulty = FaultyRegistry::new(fault);
        let image = if fault == Fault::Manifest { faulty.image_by_digest() } else { faulty.image() };
        refused_from(&image)
    }

    fn refused_from(image: &str) -> String {
        let gaufre = Gaufre::new();
        gaufre.ok(&["images"]);
        let before = size_bytes(gaufre.dir());
        let pull = ["pull", "--quiet", "--tls-verify=false", "--registry-timeout=1", image];
        let said = gaufre.fails(125, &pull);
        assert_eq!(said.matches("Error:").count(), 1, "{said}");
        assert!(said.starts_with("Error: "), "{said}");
        assert!(said.lines().count() <= 6, "more than an error and a hint: {said}");

        assert_eq!(gaufre.ok(&["images", "--quiet"]), "", "an image was made of it");
        let more = size_bytes(gaufre.dir()).saturating_sub(before);
        assert!(more < 1_000_000, "{more} bytes stayed behind");
        gaufre.ok(&["system", "check"]);
        let image = Crafted::busybox().load(&gaufre, "example.com/sound:1");
        assert_eq!(gaufre.ok(&["run", "--rm", "--network=none", image, "echo", "sound"]), "sound\n");
        said
    }

    fn size_bytes(path: &Path) -> u64 {
        let Ok(meta) = path.symlink_metadata() else { return 0 };
        if !meta.is_dir() {
            return meta.len();
        }
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_bytes(&entry.path())).sum()
    }

    #[test]
    fn the_faulty_registry_serves_a_good_image_when_nothing_is_wrong() {
        let (faulty, gaufre) = (FaultyRegistry::new(Fault::None), Gaufre::new());
        gaufre.ok(&["pull", "--quiet", "--tls-verify=false", &faulty.image_by_digest()]);
    }

    #[test]
    fn a_manifest_with_another_digest_is_refused() {
        let said = refused(Fault::Manifest);
        assert!(said.contains("digest") || said.contains("sha256:"), "{said}");
    }

    #[test]
    fn a_config_with_another_digest_is_refused() {
        assert!(refused(Fault::Config).contains("sha256:"));
    }

    #[test]
    fn a_layer_with_a_flipped_byte_is_refused() {
        refused(Fault::Byte);
    }

    #[test]
    fn a_layer_with_another_diff_id_is_refused() {
        assert!(refused(Fault::DiffId).contains("diff ID"));
    }

    #[test]
    fn a_layer_of_another_size_is_refused() {
        refused(Fault::Size);
    }

    #[test]
    fn a_truncated_layer_is_refused() {
        refused(Fault::Truncated);
    }

    #[test]
    fn an_oversized_layer_is_refused() {
        refused(Fault::Oversized);
    }

    #[test]
    fn a_registry_that_dies_in_the_middle_of_a_layer_is_named() {
        assert!(refused(Fault::Dies).contains("127.0.0.1"));
    }

    #[test]
    fn an_image_for_another_processor_is_refused_by_name() {
        assert!(refused(Fault::Architecture).contains("s390x"));
    }

    #[test]
    fn a_missing_image_is_called_missing() {
        let said = refused(Fault::Status(404));
        assert!(said.contains("has no") && said.contains("hint: Check the name"), "{said}");
    }

    #[test]
    fn a_registry_that_wants_a_password_is_said_to() {
        let said = refused(Fault::Status(401));
        assert!(said.contains("--creds") || said.contains("login") || said.contains("credentials"), "{said}");
    }

    #[test]
    fn a_registry_that_is_busy_is_tried_again_and_then_named() {
        let said = refused(Fault::Status(429));
        assert!(said.contains("limits the rate of requests"), "{said}");
    }

    #[test]
    fn a_registry_that_fails_inside_is_tried_again_and_then_named() {
        assert!(refused(Fault::Status(500)).contains("500"));
    }

    #[test]
    fn a_registry_that_does_not_answer_is_named() {
        let port = gaufre_tests::free_port();
        let said = refused_from(&format!("127.0.0.1:{port}/base:latest"));
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    }

    #[test]
    fn a_registry_that_never_answers_is_given_up_and_named() {
        let said = refused(Fault::Hangs);
        assert!(said.contains("127.0.0.1") && said.contains("hint: "), "{said}");
        assert!(said.contains("answer") || said.contains("silent") || said.contains("nothing"), "{said}");
    }

    #[test]
    fn a_registry_that_falls_silent_in_the_middle_of_a_layer_is_given_up_and_named() {
        let said = refused(Fault::Stalls);
        assert!(said.contains("127.0.0.1") && said.contains("hint: "), "{said}");
        assert!(said.contains("answer") || said.contains("silent") || said.contains("nothing"), "{said}");
    }

    #[test]
    fn a_registry_that_sends_a_layer_byte_by_byte_is_given_up_and_named() {
        let said = refused(Fault::Trickles);
        assert!(said.contains("127.0.0.1") && said.contains("too slow") && said.contains("hint: "), "{said}");
    }

    #[test]
    fn a_registry_that_sends_a_layer_byte_by_byte_does_not_keep_others_from_it() {
        let (faulty, gaufre) = (FaultyRegistry::new(Fault::Trickles), Gaufre::new());
        let mut slow = gaufre
            .command()
            // Five minutes of silence may be: it does not give up while we look.
            .args(["pull", "--quiet", "--tls-verify=false", "--registry-timeout=300", &faulty.image()])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let locks = gaufre.dir().join("root/locks");
        let is_layer = |name: &str| name.starts_with("layer-");
        until("the slow pull's lock", || {
            let names = fs::read_dir(&locks).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.into_iter().any(|name| is_layer(&name.to_string_lossy())).then_some(())
        });
        let base = Crafted::over("base");
        let honest = base.layout("example.com/honest:1").display().to_string();
        let load = gaufre
            .command()
            .args(["load", "--quiet", "--input", &honest])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let pid = load.id().to_string();
        std::thread::spawn(move || sender.send(load.wait_with_output().unwrap()));
        let loaded = receiver.recv_timeout(Duration::from_secs(300));
        let still_slow = slow.try_wait().unwrap().is_none();
        slow.kill().unwrap();
        slow.wait().unwrap();
        if loaded.is_err() {
            run(tool("kill").args(["-KILL", &pid]));
        }
        let loaded = loaded.expect("the honest load waits for ever");
        let said = String::from_utf8_lossy(&loaded.stderr);
        assert!(loaded.status.success() && still_slow, "{said}");
        assert!(said.contains("another process is getting layer"), "{said}");
        gaufre.ok(&["run", "--rm", "--network=none", "example.com/honest:1", "true"]);
        gaufre.ok(&["system", "check"]);
    }

    #[test]
    fn a_silence_that_may_not_be_is_refused() {
        let gaufre = Gaufre::new();
        for seconds in ["0", "-1", "soon", "99999999999"] {
            let option = format!("--registry-timeout={seconds}");
            let said = gaufre.fails(125, &["pull", &option, "127.0.0.1:1/base"]);
            assert!(said.contains("registry-timeout"), "{said}");
        }
    }

    #[test]
    fn a_broken_connection_is_resumed_where_it_broke() {
        let (faulty, gaufre) = (FaultyRegistry::new(Fault::BreaksOnce), Gaufre::new());
        gaufre.ok(&["pull", "--quiet", "--tls-verify=false", &faulty.image()]);
        assert_eq!(faulty.asked(), 2);
        gaufre.ok(&["run", "--rm", "--network=none", &faulty.image(), "true"]);
    }
}
