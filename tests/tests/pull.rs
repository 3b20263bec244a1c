//! What others push, gaufre pulls and runs.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, images, run, tool};

    fn layout(image: &str) -> String {
        format!("oci:{}:{image}", images().display())
    }

    /// Pushes by skopeo with arguments of its own.
    fn push(registry: &Registry, arguments: &[&str], name: &str) -> String {
        let image = registry.image(name);
        let to = format!("docker://{image}");
        let from = layout("base");
        let mut skopeo = tool("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]).args(arguments);
        run(skopeo.args([&from, &to]));
        image
    }

    fn runs(gaufre: &Gaufre, image: &str) {
        gaufre.ok(&["pull", "--quiet", "--tls-verify=false", image]);
        let said = gaufre.ok(&["run", "--rm", "--network=none", image, "cat", "/etc/debian_version"]);
        assert!(said.starts_with("12."), "{said}");
    }

    #[test]
    fn an_oci_image_pushed_by_skopeo_is_pulled_and_runs() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        runs(&gaufre, &push(&registry, &["--format=oci"], "oci"));
    }

    #[test]
    fn a_docker_image_pushed_by_skopeo_is_pulled_and_runs() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        runs(&gaufre, &push(&registry, &["--format=v2s2"], "docker"));
    }

    #[test]
    fn an_image_with_zstd_layers_is_pulled_and_runs() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        // skopeo compresses only what is not compressed yet.
        let plain = format!("dir:{}", gaufre.dir().join("plain").display());
        run(tool("skopeo").args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--dest-decompress",
            &layout("base"),
            &plain,
        ]));
        let image = registry.image("zstd");
        let mut zstd = tool("skopeo");
        zstd.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "--format=oci"]);
        run(zstd.args([
            "--dest-compress-format=zstd",
            "--dest-compress",
            &plain,
            &format!("docker://{image}"),
        ]));
        let manifest = run(tool("skopeo").args([
            "inspect",
            "--tls-verify=false",
            "--raw",
            &format!("docker://{image}"),
        ]));
        assert!(manifest.contains("tar+zstd"), "{manifest}");
        runs(&gaufre, &image);
    }

    #[test]
    fn an_image_is_pulled_by_its_digest() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let inspected = format!("docker://{}", registry.image("base"));
        let digest =
            run(tool("skopeo").args(["inspect", "--tls-verify=false", "--format={{.Digest}}", &inspected]));
        runs(&gaufre, &format!("{}/base@{}", registry.address(), digest.trim()));
    }

    #[test]
    fn layers_that_images_share_are_fetched_once() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        gaufre.pull(&registry, "base");
        let blobs = |log: String| log.lines().filter(|line| line.contains("/blobs/sha256")).count();
        let before = blobs(registry.log());
        gaufre.pull(&registry, "python");
        let of_python = blobs(registry.log()) - before;
        let fresh = Gaufre::new();
        fresh.pull(&registry, "python");
        let of_all = blobs(registry.log()) - before - of_python;
        assert!(of_python < of_all, "{of_python} requests for blobs beside the base, {of_all} without it");
    }

    #[test]
    fn a_registry_behind_tls_and_a_password_is_used_when_told_how() {
        let (registry, gaufre) = (Registry::guarded(), Gaufre::new());
        let image = registry.image("base");
        let credentials = format!("{}:{}", Registry::USER, Registry::PASSWORD);
        let trusted = registry.certificate().trusted_dir().display().to_string();

        let refused = gaufre.fails(125, &["pull", "--quiet", "--creds", &credentials, &image]);
        assert!(refused.contains("certificate"), "the authority is unknown: {refused}");
        let refused = gaufre.fails(125, &["pull", "--quiet", "--cert-dir", &trusted, &image]);
        assert!(!refused.is_empty(), "no password was given");
        let wrong = ["pull", "--quiet", "--cert-dir", &trusted, "--creds", "baker:salt", &image];
        let refused = gaufre.fails(125, &wrong);
        assert!(!refused.contains("salt"), "the password is shown: {refused}");

        gaufre.ok(&["pull", "--quiet", "--cert-dir", &trusted, "--creds", &credentials, &image]);
        gaufre.ok(&["rmi", &image]);
        gaufre.ok(&["pull", "--quiet", "--tls-verify=false", "--creds", &credentials, &image]);
        assert_eq!(gaufre.ok(&["run", "--rm", "--network=none", &image, "echo", "in"]), "in\n");
    }

    #[test]
    fn the_password_is_read_from_podmans_file() {
        let (registry, gaufre) = (Registry::guarded(), Gaufre::new());
        let file = gaufre.dir().join("auth.json");
        let mut login = tool("skopeo");
        login.args([
            "login",
            "--username",
            Registry::USER,
            "--password",
            Registry::PASSWORD,
            "--tls-verify=false",
        ]);
        run(login.arg("--authfile").arg(&file).arg(registry.address()));
        let file = file.display().to_string();
        gaufre.ok(&["pull", "--quiet", "--tls-verify=false", "--authfile", &file, &registry.image("base")]);
    }
}
