//! What inspect prints has the types and words of podman's, so that scripts can read it.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre};
    use serde_json::{Value, json};

    const BASE: &str = "localhost/base:latest";

    #[test]
    fn a_containers_settings_have_podmans_types() {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, BASE);
        let options = ["--cpus=1.5", "--memory=100m", "--security-opt=no-new-privileges", "--network=none"];
        gaufre.ok(&[&["create", "--name=web"][..], &options, &[BASE, "true"]].concat());
        let inspected: Value = serde_json::from_str(&gaufre.ok(&["inspect", "web"])).unwrap();
        let (host, state) = (&inspected[0]["HostConfig"], &inspected[0]["State"]);
        assert_eq!(host["NanoCpus"].to_string(), "1500000000");
        assert_eq!(host["MemorySwap"], json!(200 << 20));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!(host["LogConfig"]["Type"], json!("k8s-file"));
        assert_eq!(host["LogConfig"]["Path"], inspected[0]["LogPath"]);
        for time in ["StartedAt", "FinishedAt"] {
            assert_eq!(state[time], json!("0001-01-01T00:00:00Z"));
        }
    }

    #[test]
    fn an_images_time_is_written_as_go_writes_it() {
        let gaufre = Gaufre::new();
        Crafted::busybox().top("created", json!("2024-01-01T02:00:00+02:00")).load(&gaufre, BASE);
        assert_eq!(gaufre.ok(&["images", "--format={{.CreatedAt}}"]), "2024-01-01 00:00:00 +0000 UTC\n");
    }
}
