//! What users of podman and Docker will try, and why it is not there or what does the same.

/// Why there is no `flag` at `verb`, which is `volume create` for one of a group.
pub(super) fn flag_reason(verb: &str, flag: &str) -> Option<&'static str> {
    let is_meant = |name: &str| match name.strip_suffix('*') {
        Some(beginning) => flag.starts_with(beginning),
        None => flag == name,
    };
    let at = |verbs: &[&str]| verbs.is_empty() || verbs.contains(&verb);
    FLAGS
        .iter()
        .find(|(verbs, flags, _)| at(verbs) && flags.iter().any(|name| is_meant(name)))
        .map(|(_, _, why)| *why)
}

/// What does the same as `verb`.
pub(super) fn verb_instead(verb: &str) -> Option<&'static str> {
    VERBS.iter().find(|(name, _)| *name == verb).map(|(_, instead)| *instead)
}

/// The verb that does what podman's `verb` of `group` does, where that goes by another name or place.
pub(super) fn verb_of_group(group: &str, verb: &str) -> Option<&'static str> {
    match (group, verb) {
        ("image", "rm" | "remove") => Some("rmi"),
        ("image", "ls" | "list") => Some("images"),
        ("image", "inspect") => Some("inspect"),
        ("image", "load") => Some("load"),
        ("image", "pull") => Some("pull"),
        ("image", "tag") => Some("tag"),
        ("image", "untag") => Some("untag"),
        ("container", "ls" | "list" | "ps") => Some("ps"),
        ("container", "attach") => Some("attach"),
        ("container", "create") => Some("create"),
        ("container", "exec") => Some("exec"),
        ("container", "inspect") => Some("inspect"),
        ("container", "kill") => Some("kill"),
        ("container", "logs") => Some("logs"),
        ("container", "rm") => Some("rm"),
        ("container", "run") => Some("run"),
        ("container", "start") => Some("start"),
        ("container", "stop") => Some("stop"),
        ("container", "wait") => Some("wait"),
        ("container" | "image", "prune") => Some("system prune"),
        ("system", "info") => Some("info"),
        _ => None,
    }
}

/// The verbs that make a container.
const MAKING: &[&str] = &["run", "create"];
/// The verbs that take containers' names.
const NAMING: &[&str] = &["start", "logs", "exec", "attach", "stop", "kill", "wait", "rm", "inspect"];
/// At any verb.
const ANY: &[&str] = &[];

/// Verbs, flags and the reason; a `*` stands for any end.
const FLAGS: &[(&[&str], &[&str], &str)] = &[
    (
        ANY,
        &["--userns", "--uidmap", "--gidmap", "--subuidname", "--subgidname"],
        "containers use the host's user namespace",
    ),
    (MAKING, &["--pod"], "there are no pods yet"),
    (ANY, &["--gpus"], "give the device nodes with --device"),
    (ANY, &["--ipc"], "every container has an IPC namespace of its own"),
    (ANY, &["--pid"], "every container has a PID namespace of its own"),
    (ANY, &["--uts"], "every container has a UTS namespace of its own"),
    (ANY, &["--cgroupns"], "every container has a cgroup namespace of its own"),
    (ANY, &["--cgroup-parent", "--cgroups", "--cgroup-conf"], "gaufre chooses where its cgroups are"),
    (ANY, &["--secret"], "mount the file with --volume"),
    (ANY, &["--health-*", "--no-healthcheck"], "there are no health checks yet"),
    (ANY, &["--volumes-from"], "name the volumes with --volume"),
    (ANY, &["--ip", "--ip6", "--mac-address"], "gaufre chooses the address"),
    (ANY, &["--link"], "let the containers share a network: --network container:NAME"),
    (ANY, &["--expose"], "publish the port with --publish"),
    (ANY, &["--rootfs"], "gaufre runs images; load one with 'gaufre load'"),
    (ANY, &["--runtime"], "gaufre is its own runtime"),
    (ANY, &["--storage-driver"], "gaufre chooses how it stores layers"),
    (MAKING, &["--replace"], "remove the other container first: gaufre rm -f NAME"),
    (MAKING, &["--tz"], "set the variable: --env TZ=Europe/Paris"),
    (MAKING, &["--systemd"], "nothing is prepared for systemd as the command"),
    (MAKING, &["--network-alias"], "containers have no name server of their own; use --add-host"),
    (MAKING, &["--timeout"], "stop it with 'gaufre stop' when its time is up"),
    (MAKING, &["--env-host"], "name the variables: --env NAME takes one from your environment"),
    (
        MAKING,
        &["--unsetenv", "--unsetenv-all", "--env-merge"],
        "set the variable with --env; one of the image cannot be taken away",
    ),
    (MAKING, &["--http-proxy"], "proxy variables are passed only if named: --env https_proxy"),
    (MAKING, &["--umask"], "set it in the command: sh -c 'umask 077; exec ...'"),
    (MAKING, &["--cpu-period", "--cpu-quota"], "give the number of processors with --cpus"),
    (MAKING, &["--cpu-rt-period", "--cpu-rt-runtime"], "real-time processor time cannot be given yet"),
    (MAKING, &["--memory-swappiness"], "the host's swappiness applies"),
    (MAKING, &["--oom-kill-disable"], "the kernel needs someone to kill; --oom-score-adj says whom first"),
    (
        MAKING,
        &["--device-read-*", "--device-write-*", "--blkio-weight-device"],
        "give a share of disk time with --blkio-weight",
    ),
    (MAKING, &["--device-cgroup-rule"], "name each device with --device"),
    (MAKING, &["--requires"], "start the containers in their order"),
    (MAKING, &["--no-hosts"], "gaufre writes the container's /etc/hosts"),
    (MAKING, &["--pidfile", "--conmon-pidfile"], "'gaufre inspect -f {{.State.Pid}} NAME' prints the PID"),
    (ANY, &["--arch", "--os", "--variant"], "give them with --platform, such as linux/arm64"),
    (ANY, &["--decryption-key"], "encrypted images cannot be read yet"),
    (
        ANY,
        &["--signature-policy", "--disable-content-trust"],
        "signatures are not checked; digests always are",
    ),
    (NAMING, &["-l", "--latest"], "name the container; 'gaufre ps -lq' prints the newest one's ID"),
    (
        &["stop", "kill", "wait", "start"],
        &["-f", "--filter"],
        "list the IDs for it: $(gaufre ps -aq --filter ...)",
    ),
    (&["rm"], &["--filter"], "list the IDs for it: $(gaufre ps -aq --filter ...)"),
    (NAMING, &["--cidfile"], "give the ID in the file: $(cat FILE)"),
    (&["rm"], &["--depend"], "name all the containers"),
    (&["wait"], &["--condition"], "gaufre waits for the end"),
    (&["ps", "inspect"], &["-s", "--size"], "'gaufre system df' has the sizes"),
    (&["ps", "images"], &["--sort"], "sort(1) sorts what --format prints"),
    (&["ps"], &["-w", "--watch"], "watch(1) repeats it: watch gaufre ps"),
    (&["ps"], &["--ns", "--namespace"], "'lsns -p PID' lists them; 'gaufre inspect' has the PID"),
    (&["ps"], &["--sync"], "what gaufre lists is always the present state"),
    (&["ps"], &["-p", "--pod"], "there are no pods yet"),
    (&["images"], &["--history"], "'gaufre inspect IMAGE' has the history"),
    (&["pull"], &["-a", "--all-tags"], "name each tag"),
    (&["volume create"], &["-o", "--opt"], "a volume is a directory; for another file system, use --mount"),
    (&["exec"], &["--preserve-fds"], "only standard input, output and error are passed on"),
    (&["exec"], &["--detach-keys"], "a command that is to go on is executed with --detach"),
];

/// Verbs, and what does the same.
const VERBS: &[(&str, &str)] = &[
    ("build", "gaufre does not build images; pull one, or load what podman or docker saved"),
    ("container", "its verbs stand by themselves: 'gaufre ps', 'gaufre rm' and so on"),
    ("image", "its verbs stand by themselves: 'gaufre images', 'gaufre rmi' and so on"),
    ("network", "there is one bridge, and 'run --network' chooses how a container uses it"),
    ("pod", "there are no pods yet"),
    ("compose", "there is no compose yet"),
    ("restart", "'gaufre stop' it, then 'gaufre start' it"),
    ("rename", "a container keeps its name; give it with 'run --name'"),
    ("update", "limits are given with 'run' and stay; remove the container and run it again"),
    ("init", "'gaufre create' makes a container that does not run"),
    ("login", "log in with podman or docker, whose credentials are used, or give --creds to 'gaufre pull'"),
    ("logout", "log out with podman or docker, whose credentials are used"),
    ("push", "gaufre pulls and loads images, and sends none"),
    ("save", "gaufre pulls and loads images, and saves none"),
    ("commit", "gaufre makes no images"),
    ("import", "gaufre makes no images; it loads those that podman or docker saved"),
    ("export", "use 'gaufre exec NAME tar -c /', if the image has tar"),
    ("manifest", "gaufre makes no images"),
    ("cp", "use 'gaufre exec' with tar, or a --volume"),
    ("diff", "what a container changed cannot be listed yet"),
    ("mount", "use 'gaufre exec', or a --volume"),
    ("unmount", "use 'gaufre exec', or a --volume"),
    ("umount", "use 'gaufre exec', or a --volume"),
    ("top", "use 'gaufre exec NAME ps', if the image has ps"),
    ("stats", "there are no statistics yet"),
    ("port", "'gaufre ps' lists the ports"),
    ("pause", "containers cannot be paused yet"),
    ("unpause", "containers cannot be paused yet"),
    ("checkpoint", "containers cannot be frozen yet"),
    ("restore", "containers cannot be frozen yet"),
    ("search", "ask the registry's own site"),
    ("history", "'gaufre inspect IMAGE' has the history"),
    ("events", "there are no events yet"),
    ("healthcheck", "there are no health checks yet"),
    ("secret", "mount the file with 'run --volume'"),
    ("generate", "gaufre writes no unit or YAML files"),
    ("kube", "gaufre reads no Kubernetes YAML"),
    ("play", "gaufre reads no Kubernetes YAML"),
    ("machine", "gaufre runs on Linux itself"),
    ("auto-update", "'gaufre pull' the image, remove the container and run it again"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn what_is_said_to_be_missing_is_missing() {
        let cli = Cli::command();
        assert!(VERBS.iter().all(|(verb, _)| cli.find_subcommand(verb).is_none()));
        for verb in cli.get_subcommands() {
            let long = verb.get_arguments().filter_map(clap::Arg::get_long).map(|name| format!("--{name}"));
            let short = verb.get_arguments().filter_map(clap::Arg::get_short).map(|name| format!("-{name}"));
            for flag in long.chain(short) {
                assert_eq!(flag_reason(verb.get_name(), &flag), None, "{} {flag}", verb.get_name());
            }
        }
    }

    #[test]
    fn what_is_pointed_to_is_there() {
        let cli = Cli::command();
        for (group, verb) in [("image", "rm"), ("container", "ls"), ("image", "prune"), ("system", "info")] {
            let mut found = &cli;
            for word in verb_of_group(group, verb).unwrap().split(' ') {
                found = found.find_subcommand(word).unwrap();
            }
        }
    }
}
