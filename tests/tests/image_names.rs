//! The names by which users mean images, and what they are told about them.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Registry, Said};
    use std::process::Command;

    const BASE: &str = "localhost/base:latest";

    /// A `gaufre` with one small image in it.
    fn gaufre() -> Gaufre {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, BASE);
        gaufre
    }

    #[test]
    fn a_container_shows_the_image_by_the_name_that_was_typed() {
        let gaufre = gaufre();
        gaufre.ok(&["tag", BASE, "debian:12", "localhost/zebra:1"]);
        let shown = |asked: &str| {
            let id = gaufre.ok(&["create", "--pull=never", asked, "true"]);
            gaufre.ok(&["inspect", "--format={{.ImageName}} {{.Config.Image}}", id.trim()])
        };
        assert_eq!(shown("debian:12"), "localhost/debian:12 localhost/debian:12\n");
        assert_eq!(shown("zebra:1"), "localhost/zebra:1 localhost/zebra:1\n");
        let id = gaufre.ok(&["inspect", "--format={{.Id}}", BASE]);
        assert_eq!(shown(&id.trim()[..12]), format!("{BASE} {BASE}\n"));
    }

    #[test]
    fn what_gaufre_says_to_itself_is_under_no_verb_that_is_typed() {
        let gaufre = Gaufre::new();
        for verb in ["init", "demo-workload", "demo-registry", "keeper"] {
            let said = Said::from(
                Command::new(gaufre.binary()).args([verb, "echo", "on the host"]).output().unwrap(),
            );
            assert_eq!((said.out.as_str(), said.code), ("", 125), "{verb}: {}", said.err);
        }
    }

    #[test]
    fn a_name_with_a_transport_is_refused_with_what_to_do() {
        let gaufre = Gaufre::new();
        let error = gaufre.fails(125, &["pull", "docker://quay.io/a"]);
        assert!(error.contains("leave \"docker://\" out"), "{error}");
        let error = gaufre.fails(125, &["run", "oci:/tmp/a", "true"]);
        assert!(error.contains("gaufre load --input /tmp/a"), "{error}");
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_once() {
        let (registry, gaufre) = (Registry::empty(), Gaufre::new());
        let name = registry.image("waffle");
        let error = gaufre.fails(125, &["pull", "--quiet", "--tls-verify=false", &name]);
        assert_eq!(error.matches(&name).count(), 1, "{error}");
        assert!(error.contains("has no manifest"), "{error}");
    }

    #[test]
    fn the_tags_that_there_are_are_told() {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, "docker.io/library/redis:7");
        for verb in ["inspect", "rmi"] {
            let error = gaufre.say(&[verb, "redis"]).err;
            assert!(error.contains("docker.io/library/redis:7"), "{error}");
        }
        assert!(!gaufre.say(&["rmi", "nginx"]).err.contains("redis:7"));
    }

    #[test]
    fn an_image_that_an_archive_only_labels_is_loaded_with_its_label() {
        let gaufre = Gaufre::new();
        let layout = Crafted::busybox();
        let said = gaufre.ok(&["load", "--input", layout.layout("redis").to_str().unwrap()]);
        assert!(said.trim_end().ends_with(" (redis)"), "{said}");
        assert_eq!(gaufre.ok(&["images", "--format={{.Repository}}"]), "<none>\n");
    }
}
