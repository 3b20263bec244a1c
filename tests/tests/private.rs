//! What a container was told in confidence stays between it and root.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, until};
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    const SECRET: &str = "waffle-recipe-of-the-grandmother";

    /// Every file below `dir` that holds the secret; those that are no files, such as FIFOs, are left alone.
    fn holders(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                holders(&entry.path(), found);
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).unwrap();
                if bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
                    found.push(entry.path());
                }
            }
        }
    }

    /// Files that hold the secret, all of which nobody but root can reach.
    fn closed(gaufre: &Gaufre) -> Vec<String> {
        let mut found = Vec::new();
        let roots = ["root", "run"].map(|name| gaufre.dir().join(name));
        for root in &roots {
            let before = found.len();
            holders(root, &mut found);
            for file in &found[before..] {
                assert_eq!(
                    fs::metadata(file).unwrap().mode() & 0o077,
                    0,
                    "{} is open to others",
                    file.display()
                );
                // Whoever may not pass the uppermost passes none of them.
                for dir in file.ancestors().skip(1).take_while(|dir| dir.starts_with(root)) {
                    let meta = fs::metadata(dir).unwrap();
                    assert_eq!(
                        (meta.mode() & 0o077, meta.uid()),
                        (0, 0),
                        "{} is open to others",
                        dir.display()
                    );
                }
            }
        }
        found.iter().map(|path| path.strip_prefix(gaufre.dir()).unwrap().display().to_string()).collect()
    }

    #[test]
    fn every_record_of_a_secret_is_for_root_alone() {
        let gaufre = Gaufre::new();
        let image = Crafted::busybox().load(&gaufre, "example.com/busybox:1");
        let variable = format!("SECRET={SECRET}");
        let file = gaufre.dir().join("variables");
        fs::write(&file, format!("{variable}\n")).unwrap();
        let env_file = format!("--env-file={}", file.display());
        let label = format!("--label=secret={SECRET}");
        let script = "echo $SECRET; exec sleep 1000";
        let options = ["run", "-d", "-i", "--restart=always", "-e", &variable, &label, "-v", "data:/data"];
        let id = gaufre.ok(&[&options[..], &[image, "sh", "-c", script]].concat()).trim().to_owned();
        gaufre.ok(&["create", &env_file, image, "true"]);
        let failing = ["run", "--network=none", &env_file, image, "sh", "-c", "echo $SECRET; exit 3"];
        assert_eq!(gaufre.say(&failing).code, 3);
        until("the log", || gaufre.ok(&["logs", &id]).contains(SECRET).then_some(()));
        gaufre.ok(&["exec", "-e", &format!("MORE={SECRET}"), &id, "true"]);
        let found = closed(&gaufre);
        // Definition, bundle and log at the least: else nothing was looked at.
        for part in ["definition.json", "config.json", "log"] {
            assert!(found.iter().any(|path| path.contains(part)), "no {part} in {found:?}");
        }
        // Nor can it be read from the command line of a process of ours.
        for pid in gaufre.processes() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&line).contains(SECRET), "{pid}");
        }
        gaufre.ok(&["rm", "--force", "--all", "--time=0"]);
        until("nothing to tell it any more", || closed(&gaufre).is_empty().then_some(()));
    }
}
