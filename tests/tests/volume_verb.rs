//! `gaufre volume`: made, listed and removed by hand.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry};
    use serde_json::Value;
    use std::fs;
    use std::process::Stdio;

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    fn names(gaufre: &Gaufre) -> Vec<String> {
        gaufre.ok(&["volume", "ls", "-q"]).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_volume_that_was_made_by_hand_is_listed_inspected_mounted_and_removed() {
        let (gaufre, image) = ready();
        assert_eq!(gaufre.ok(&["volume", "ls", "--format", "json"]).trim(), "[]");
        assert_eq!(gaufre.ok(&["volume", "create", "--label", "for=web", "-l", "kept", "pages"]), "pages\n");
        let said = gaufre.fails(125, &["volume", "create", "pages"]);
        assert!(said.contains("pages") && said.contains("exists"), "{said}");
        assert_eq!(gaufre.ok(&["volume", "create", "--ignore", "pages"]), "pages\n");
        gaufre.fails(125, &["volume", "create", "../pages"]);
        let said = gaufre.fails(125, &["volume", "create", &"a".repeat(300)]);
        assert!(said.contains("300") && said.contains("255"), "{said}");
        gaufre.fails(125, &["volume", "create", "--label", "=web", "other"]);
        let made_up = gaufre.ok(&["volume", "create"]);
        assert_eq!(made_up.trim().len(), 64, "{made_up}");

        let table = gaufre.ok(&["volume", "ls"]);
        assert!(table.starts_with("DRIVER") && table.contains("local       pages"), "{table}");
        assert_eq!(gaufre.ok(&["volume", "ls", "-q", "-f", "label=for=web"]), "pages\n");
        let inspected: Value = serde_json::from_str(&gaufre.ok(&["volume", "inspect", "pages"])).unwrap();
        let data = gaufre.dir().join("root/volumes/pages/_data");
        assert_eq!(inspected[0]["Mountpoint"], data.to_str().unwrap());
        assert_eq!(inspected[0]["Labels"], serde_json::json!({"for": "web", "kept": ""}));
        assert_eq!(inspected[0]["Containers"], serde_json::json!([]));
        let listed: Value =
            serde_json::from_str(&gaufre.ok(&["volume", "ls", "--filter=name=page", "--format=json"]))
                .unwrap();
        assert_eq!(listed, inspected);

        // Filled by the image like one that is made at its first use.
        gaufre.ok(&["run", "--rm", "--network=none", "-v", "pages:/etc", &image, "true"]);
        assert!(data.join("passwd").exists());
        assert_eq!(gaufre.ok(&["volume", "rm", "pages", made_up.trim()]).lines().count(), 2);
        assert!(names(&gaufre).is_empty() && !data.exists());
        let said = gaufre.fails(1, &["volume", "rm", "pages"]);
        assert!(said.contains("pages"), "{said}");
        gaufre.fails(125, &["volume", "inspect", "pages"]);
        gaufre.fails(125, &["volume", "rm"]);
        assert_eq!(gaufre.ok(&["system", "check"]).lines().last(), Some("Nothing is wrong."));
    }

    #[test]
    fn a_volume_in_use_stays_until_its_containers_are_removed_or_to_be_removed_with_it() {
        let (gaufre, image) = ready();
        let create = ["create", "--name=user", "--network=none", "-v", "used:/data", &image, "true"];
        let id = gaufre.ok(&create);
        // Of a container that never ran, too: it would come up with another, empty one.
        gaufre.ok(&["volume", "create", "used"]);
        let said = gaufre.fails(2, &["volume", "rm", "used"]);
        assert!(said.contains(&id[..12]) && said.contains("gaufre rm"), "{said}");
        assert_eq!(gaufre.ok(&["volume", "prune", "--force"]), "");
        assert_eq!(gaufre.ok(&["volume", "ls", "-q", "-f", "dangling=false"]), "used\n");
        gaufre.ok(&["rm", "user"]);
        assert_eq!(gaufre.ok(&["volume", "rm", "used"]), "used\n");

        gaufre.ok(&["run", "-d", "--network=none", "-v", "used:/data", &image, "sleep", "1000"]);
        gaufre.fails(2, &["volume", "rm", "--all"]);
        assert_eq!(gaufre.ok(&["volume", "rm", "--force", "used"]), "used\n");
        assert_eq!(gaufre.ok(&["ps", "-aq"]), "");
        assert!(names(&gaufre).is_empty());
        assert_eq!(fs::read_dir(gaufre.dir().join("root/volumes")).unwrap().count(), 0);
    }

    #[test]
    fn a_prune_asks_and_takes_only_what_it_is_to_take() {
        let gaufre = Gaufre::new();
        for name in ["one", "two", "three"] {
            gaufre.ok(&["volume", "create", "--label", &format!("is={name}"), name]);
        }
        let mut asked = gaufre.command();
        // Nobody answers.
        let asked = asked.args(["volume", "prune"]).stdin(Stdio::null()).output().unwrap();
        assert!(String::from_utf8_lossy(&asked.stdout).contains("- three"), "{asked:?}");
        assert_eq!(gaufre.ok(&["volume", "prune", "-f", "--filter", "label=is=two"]), "two\n");
        assert_eq!(names(&gaufre), ["one", "three"]);
        assert_eq!(gaufre.ok(&["volume", "prune", "-f"]), "one\nthree\n");
    }
}
