//! The names by which users mean images, and what they are told about them.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Said};
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
}
