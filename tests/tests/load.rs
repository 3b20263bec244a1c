//! What others saved, gaufre loads and runs.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Registry, images, run, tool};
    use serde_json::{Value, json};
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
    fn loading_an_image_that_was_pulled_leaves_it_its_digest() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        let digests = || gaufre.ok(&["images", "--format={{.Digest}}"]);
        let known = || gaufre.ok(&["inspect", "--format={{.Digest}} {{.RepoDigests}}", &image]);
        let (pulled, known_before) = (digests(), known());
        let file = gaufre.dir().join("saved.tar").display().to_string();
        let from = format!("docker://{image}");
        let to = format!("docker-archive:{file}:{image}");
        run(tool("skopeo").args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &from,
            &to,
        ]));
        gaufre.ok(&["load", "--quiet", "--input", &file]);

        assert_eq!((digests(), known()), (pulled.clone(), known_before));
        let pinned = format!("{}@{}", image.trim_end_matches(":latest"), pulled.trim());
        let said = gaufre.ok(&["run", "--rm", "--network=none", "--pull=never", &pinned, "echo", "here"]);
        assert_eq!(said, "here\n");
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

    /// Docker since 25 saves an OCI layout with a manifest.json of the older form in it.
    #[test]
    fn what_docker_saves_is_loaded_by_either_of_its_two_forms() {
        let image = Crafted::busybox();
        let layout = image.layout("1");
        let read = |path: &str| -> Value {
            serde_json::from_slice(&std::fs::read(layout.join(path)).unwrap()).unwrap()
        };
        let blob = |descriptor: &Value| {
            format!("blobs/sha256/{}", descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:"))
        };
        let mut index = read("index.json");
        index["manifests"][0]["annotations"]["io.containerd.image.name"] = json!("docker.io/mine/saved:1");
        let manifest = read(&blob(&index["manifests"][0]));
        let layers: Vec<String> = manifest["layers"].as_array().unwrap().iter().map(blob).collect();
        let older =
            json!([{"Config": blob(&manifest["config"]), "RepoTags": ["mine/saved:1"], "Layers": layers}]);
        std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
        std::fs::write(layout.join("manifest.json"), older.to_string()).unwrap();
        for without in ["none", "index.json", "manifest.json"] {
            let gaufre = Gaufre::new();
            let archive = gaufre.dir().join("saved.tar");
            let mut tar = tool("tar");
            tar.arg(format!("--exclude=./{without}")).arg("-cf").arg(&archive).arg("-C").arg(layout);
            run(tar.arg("."));
            let archive = archive.to_str().unwrap();
            let said = gaufre.ok(&["load", "--input", archive]);
            assert_eq!(said, "Loaded image: docker.io/mine/saved:1\n", "without {without}");
            let command = ["run", "--rm", "--network=none", "--pull=never", "mine/saved:1", "echo", "loaded"];
            assert_eq!(gaufre.ok(&command), "loaded\n");
            assert_eq!(gaufre.ok(&["images", "--quiet"]).lines().count(), 1);
        }
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
