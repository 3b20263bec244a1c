//! One root, two run directories: what is on disk is shared, so its users must not miss each other.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Said, tool};
    use std::process::{Command, Stdio};

    /// The program with the root of `gaufre` and the run directory `run` beside it.
    fn with_run(gaufre: &Gaufre, run: &str, arguments: &[&str]) -> Command {
        let mut command = tool(gaufre.binary().to_str().unwrap());
        command.arg("--root").arg(gaufre.dir().join("root")).arg("--run").arg(gaufre.dir().join(run));
        command.args(arguments);
        command
    }

    #[test]
    fn a_name_and_an_image_are_in_use_for_users_of_another_run_directory_too() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        for round in 0..8 {
            let name = format!("--name=only-{round}");
            let create = ["create", &name, "--network=none", &image, "true"];
            let started = ["run", "other", "run", "other"].map(|run| {
                let mut command = with_run(&gaufre, run, &create);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            });
            let said = started.map(|child| Said::from(child.wait_with_output().unwrap()));
            assert_eq!(said.iter().filter(|said| said.code == 0).count(), 1, "{said:?}");
        }
        assert_eq!(gaufre.ok(&["ps", "-aq"]).lines().count(), 8);
        let said = Said::from(with_run(&gaufre, "other", &["rmi", &image]).output().unwrap());
        assert_eq!(said.code, 2, "{said:?}");
    }
}
