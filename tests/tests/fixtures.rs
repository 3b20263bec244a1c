//! The fixtures themselves, judged by skopeo.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Registry, Witness, images, run, tool};

    #[test]
    fn a_registry_serves_every_test_image() {
        let registry = Registry::with_images();
        for name in ["base", "python", "redis", "nginx", "postgresql", "big"] {
            let image = format!("docker://{}", registry.image(name));
            let said = run(tool("skopeo").args(["inspect", "--tls-verify=false", &image]));
            assert!(said.contains("linux"), "{said}");
        }
    }

    #[test]
    fn a_guarded_registry_wants_the_password_and_the_authority() {
        let registry = Registry::guarded();
        let image = format!("docker://{}", registry.image("base"));
        let inspect = |arguments: &[&str]| {
            tool("skopeo").arg("inspect").args(arguments).arg(&image).output().unwrap().status.success()
        };
        let credentials = format!("--creds={}:{}", Registry::USER, Registry::PASSWORD);
        let trusted = format!("--cert-dir={}", registry.certificate().trusted_dir().display());
        assert!(inspect(&[&credentials, &trusted]));
        assert!(inspect(&[&credentials, "--tls-verify=false"]));
        assert!(!inspect(&[&trusted]), "no password was given");
        assert!(!inspect(&[&credentials]), "the authority is not trusted");
    }

    #[test]
    fn an_empty_registry_takes_what_is_pushed() {
        let registry = Registry::empty();
        registry.push(&format!("oci:{}:base", images().display()), "mine");
        let image = format!("docker://{}", registry.image("mine"));
        run(tool("skopeo").args(["inspect", "--tls-verify=false", &image]));
    }

    #[test]
    fn the_witness_sees_a_new_cgroup() {
        let witness = Witness::now();
        let dir = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(std::path::Path::new)
            .into_iter()
            .find(|dir| dir.join("cgroup.procs").exists())
            .expect("a cgroup2 mount");
        let parent = dir.join("gaufre");
        let dir = parent.join(format!("witness-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let more = witness.more();
        std::fs::remove_dir(&dir).unwrap();
        // Somebody else may be using it.
        let _ = std::fs::remove_dir(&parent);
        assert!(more.contains(&format!("cgroup {}", dir.display())), "{more:?}");
    }
}
