//! What others saved, gaufre loads and runs.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, images, run, tool};
    use std::path::Path;
    use std::process::Command;

    /// Podman with a store of its own in `dir`, which it mounts on itself and leaves so: only this command sees that.
    fn podman(dir: &Path) -> Command {
        let mut podman = tool("unshare");
        podman.args(["--mount", "--propagation=private", "podman"]);
        podman.arg("--root").arg(dir.join("podman")).arg("--runroot").arg(dir.join("podman-run"));
        podman.args(["--storage-driver=overlay", "--events-backend=none"]);
        podman
    }

    fn saved_by_podman(format: &str) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = registry.image("base");
        run(podman(gaufre.dir()).args(["pull", "--quiet", "--tls-verify=false", &image]));
        let file = gaufre.dir().join("saved").display().to_string();
        run(podman(gaufre.dir()).args(["save", "--quiet", "--format", format, "--output", &file, &image]));
        run(podman(gaufre.dir()).args(["rmi", "--all", "--force"]));
        drop(registry);

        gaufre.ok(&["load", "--quiet", "--input", &file]);
        let said = gaufre.ok(&["run", "--rm", "--network=none", "--pull=never", &image, "echo", "loaded"]);
        assert_eq!(said, "loaded\n");
    }

    #[test]
    fn a_docker_archive_saved_by_podman_is_loaded_and_runs() {
        saved_by_podman("docker-archive");
    }

    #[test]
    fn an_oci_archive_saved_by_podman_is_loaded_and_runs() {
        saved_by_podman("oci-archive");
    }

    #[test]
    fn an_archive_comes_through_standard_input_too() {
        let gaufre = Gaufre::new();
        let file = gaufre.dir().join("archive.tar");
        let from = format!("oci:{}:base", images().display());
        let to = format!("docker-archive:{}:example.com/waffle:1", file.display());
        run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
        let mut load = gaufre.command();
        load.args(["load", "--quiet"]).stdin(std::fs::File::open(&file).unwrap());
        run(&mut load);
        let said = gaufre.ok(&[
            "run",
            "--rm",
            "--network=none",
            "--pull=never",
            "example.com/waffle:1",
            "echo",
            "piped",
        ]);
        assert_eq!(said, "piped\n");
    }

    #[test]
    fn what_umoci_removed_from_an_image_is_not_there() {
        let gaufre = Gaufre::new();
        let layout = gaufre.dir().join("layout");
        let from = format!("oci:{}:base", images().display());
        run(tool("skopeo").args([
            "--insecure-policy",
            "copy",
            "--quiet",
            &from,
            &format!("oci:{}:base", layout.display()),
        ]));
        let bundle = gaufre.dir().join("bundle");
        let image = format!("{}:base", layout.display());
        run(tool("umoci").args(["unpack", "--image", &image]).arg(&bundle));
        std::fs::remove_file(bundle.join("rootfs/etc/debian_version")).unwrap();
        std::fs::write(bundle.join("rootfs/etc/waffle"), "crisp\n").unwrap();
        run(tool("umoci").args(["repack", "--image", &format!("{}:changed", layout.display())]).arg(&bundle));
        let archive = gaufre.dir().join("changed.tar");
        let to = format!("oci-archive:{}:example.com/changed:1", archive.display());
        run(tool("skopeo").args([
            "--insecure-policy",
            "copy",
            "--quiet",
            &format!("oci:{}:changed", layout.display()),
            &to,
        ]));

        gaufre.ok(&["load", "--quiet", "--input", &archive.display().to_string()]);
        let script = "cat /etc/waffle; test -e /etc/debian_version || echo gone";
        let run =
            ["run", "--rm", "--network=none", "--pull=never", "example.com/changed:1", "bash", "-c", script];
        assert_eq!(gaufre.ok(&run), "crisp\ngone\n");
    }
}
