//! From the words of the command line to what the engine is asked.

use clap::Parser;
use gaufre_engine::settings::{
    CreateRequest, NetworkMode, PullPolicy, RestartPolicy, SeccompChoice, Signal, VolumeSource,
};

use super::*;
use crate::cli::{Cli, Verb};

fn request(words: &str) -> std::result::Result<CreateRequest, String> {
    let words = ["gaufre", "create"].into_iter().chain(words.split(' ').filter(|word| !word.is_empty()));
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    match cli.verb {
        Verb::Create(args) => args.create.request().map_err(|error| error.to_string()),
        _ => Err("another verb".to_owned()),
    }
}

fn parsed(words: &str) -> CreateRequest {
    request(words).unwrap()
}

fn refused(words: &str) -> String {
    request(words).unwrap_err()
}

#[test]
fn without_flags_everything_is_as_podman_has_it() {
    let request = parsed("alpine");
    assert_eq!(request.image, "alpine");
    assert_eq!((request.command.len(), request.entrypoint, request.name), (0, None, None));
    assert_eq!(request.settings, Settings::default());
    assert_eq!(request.pull, PullPolicy::Missing);
    assert_eq!(request.registry, gaufre_engine::settings::RegistryAccess::default());
}

#[test]
fn everything_after_the_image_belongs_to_the_command() {
    assert_eq!(parsed("alpine sh -c exit").command, ["sh", "-c", "exit"]);
    assert_eq!(parsed("alpine -c --rm -it").command, ["-c", "--rm", "-it"]);
    assert_eq!(parsed("--rm alpine --rm --bogus").command, ["--rm", "--bogus"]);
    assert_eq!(parsed("-it -- alpine -x").command, ["-x"]);
    assert!(refused("--bogus alpine").contains("--bogus"));
}

#[test]
fn short_flags_may_be_joined() {
    let settings = parsed("-it -m64m -p8080:80 -eA=1 alpine").settings;
    assert!(settings.terminal && settings.stdin_open);
    assert_eq!(settings.resources.memory_bytes, Some(64 << 20));
    assert_eq!((settings.ports[0].host_port, settings.ports[0].container_port), (8080, 80));
}

#[test]
fn an_entry_point_is_a_program_a_list_or_nothing() {
    assert_eq!(parsed("--entrypoint /bin/sh alpine").entrypoint, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!(
        parsed("--entrypoint [\"a\",\"b\"] alpine").entrypoint,
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(parsed("--entrypoint= alpine").entrypoint, Some(vec![]));
    assert!(refused("--entrypoint [1] alpine").contains("--entrypoint"));
}

#[test]
fn limits_are_read_and_zero_means_none() {
    let resources =
        parsed("--memory 1g --memory-swap 2g --cpus 0.5 -c 512 --cpuset-cpus 0 --pids-limit -1 x")
            .settings
            .resources;
    assert_eq!((resources.memory_bytes, resources.memory_swap_bytes), (Some(1 << 30), Some(2 << 30)));
    assert_eq!((resources.cpus, resources.cpu_shares), (Some(0.5), Some(512)));
    assert_eq!((resources.cpuset_cpus.as_deref(), resources.pids_limit), (Some("0"), Some(-1)));
    let none = parsed("--memory 0 --cpus 0 --cpu-shares 0 x").settings.resources;
    assert_eq!((none.memory_bytes, none.cpus, none.cpu_shares), (None, None, None));
    assert_eq!(parsed("-m 1g --memory-swap -1 x").settings.resources.memory_swap_bytes, Some(-1));
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (words, named) in [
        ("--memory-swap 1g x", "--memory-swap"),
        ("-m 2g --memory-swap 1g x", "--memory-swap"),
        ("-m 512 x", "--memory 512 is too little"),
        ("--cpus=-1 x", "--cpus"),
        ("--cpus nan x", "--cpus"),
        ("--cpus 99999 x", "--cpus 99999"),
        ("--cpuset-cpus 3-1 x", "--cpuset-cpus"),
        ("--pids-limit -2 x", "--pids-limit"),
        ("--oom-score-adj 1001 x", "--oom-score-adj"),
        ("--blkio-weight 5 x", "--blkio-weight"),
        ("--ulimit files=1 x", "--ulimit"),
        ("--shm-size big x", "--shm-size"),
    ] {
        assert!(refused(words).contains(named), "{words}: {}", refused(words));
    }
}

#[test]
fn networks_ports_and_names_are_read() {
    let settings =
        parsed("--net container:web --dns 1.1.1.1 --dns-search a,b --add-host db:host-gateway x").settings;
    assert_eq!(settings.network, NetworkMode::Container("web".into()));
    assert_eq!(settings.dns.servers, ["1.1.1.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(settings.dns.search, ["a", "b"]);
    assert_eq!(settings.add_hosts[0].to_string(), "db:host-gateway");
    assert_eq!(parsed("-p 8000-8002:80-82 -p 53:53/udp x").settings.ports.len(), 4);
    assert!(parsed("-P x").settings.publish_all);
    assert!(parsed("--network none -p 80:80 x").settings.ports.is_empty());
    assert!(refused("--network mynet x").contains("'mynet'"));
    assert!(refused("--network none --network host x").contains("--network"));
    assert!(refused("--dns nowhere x").contains("'nowhere'"));
    assert!(refused("-p 99999:80 x").contains("99999"));
}

#[test]
fn mounts_come_from_all_their_flags_and_never_share_a_place() {
    let request =
        parsed("-v /a:/1 -v data:/2:ro -v /3 --mount type=bind,src=./r,dst=/4 --tmpfs /5:size=1m x");
    let sources: Vec<_> = request.volumes.iter().map(|volume| volume.source.clone()).collect();
    let relative = std::env::current_dir().unwrap().join("r");
    let expect = [
        VolumeSource::Host("/a".into()),
        VolumeSource::Named("data".into()),
        VolumeSource::Anonymous,
        VolumeSource::Host(relative),
    ];
    assert_eq!(sources, expect);
    assert_eq!(request.tmpfs[0].options, ["size=1m"]);
    assert!(refused("-v /a:/x --tmpfs /x x").contains("'/x'"));
    assert!(refused("--mount type=image,src=a,dst=/b x").contains("--mount"));
    assert!(refused("-v /a:b x").contains("'b'"));
}

#[test]
fn rights_are_read_and_unknown_ones_refused_by_name() {
    let settings = parsed(
        "--cap-add net_admin,SYS_TIME --cap-drop all --security-opt seccomp=unconfined --sysctl net.a=1 x",
    )
    .settings;
    assert_eq!(settings.cap_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME"]);
    assert_eq!(settings.cap_drop, ["ALL"]);
    assert_eq!(settings.security.seccomp, SeccompChoice::Unconfined);
    assert_eq!(settings.sysctls.get("net.a").map(String::as_str), Some("1"));
    for (words, named) in [
        ("--cap-add FLY x", "'FLY'"),
        ("--security-opt label=type:a x", "label=type:a"),
        ("--sysctl kernel.panic=1 x", "kernel.panic"),
        ("--device fuse x", "'fuse'"),
    ] {
        assert!(refused(words).contains(named), "{words}: {}", refused(words));
    }
}

#[test]
fn ends_and_logs_are_read() {
    let settings =
        parsed("--restart on-failure:3 --stop-signal INT --stop-timeout 3 --log-opt max-size=1m x").settings;
    assert_eq!(settings.restart, RestartPolicy::OnFailure { max: Some(3) });
    assert_eq!((settings.stop_signal.map(Signal::number), settings.stop_timeout_s), (Some(2), 3));
    assert_eq!(settings.log.max_size_bytes, Some(1 << 20));
    assert!(refused("--rm --restart always x").contains("--restart always"));
    assert!(refused("--log-driver journald x").contains("journald"));
    assert!(refused("--workdir tmp x").contains("'tmp'"));
}

#[test]
fn registries_are_reached_as_asked() {
    let registry = parsed("--tls-verify=false --creds a:b:c --cert-dir /c --authfile /f x").registry;
    assert_eq!(registry.tls_verify, Some(false));
    assert_eq!(registry.creds, Some(("a".to_owned(), "b:c".to_owned())));
    assert_eq!(parsed("--tls-verify x").registry.tls_verify, Some(true));
    assert_eq!(parsed("--pull never --platform linux/arm64 x").pull, PullPolicy::Never);
    // A password is not repeated, whatever is wrong with it.
    assert!(!refused("--creds secret x").contains("secret is"));
}

#[test]
fn labels_and_annotations_are_read() {
    let settings = parsed("-l a=b -l c --label d=e=f --annotation k=v -h box x").settings;
    let labels: Vec<_> = settings.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    assert_eq!(labels, ["a:b", "c:", "d:e=f"]);
    assert_eq!(settings.annotations.get("k").map(String::as_str), Some("v"));
    assert_eq!(settings.hostname.as_deref(), Some("box"));
    assert!(refused("-l =x x").contains("'=x'"));
    assert!(refused("--annotation k x").contains("'k'"));
}

#[test]
fn a_flag_given_again_replaces_what_it_said_before() {
    let request = parsed(
        "--rm --rm -i -i --name a --name b -m 1g -m 2g --read-only -e A=1 -e B=2 --tls-verify --tls-verify=false x",
    );
    assert!(request.settings.remove_on_exit && request.settings.read_only && request.settings.stdin_open);
    assert_eq!(request.name.as_deref(), Some("b"));
    assert_eq!(request.settings.resources.memory_bytes, Some(2 << 30));
    assert_eq!(request.env, ["A=1", "B=2"]);
    assert_eq!(request.registry.tls_verify, Some(false));
}

#[test]
fn a_seccomp_profile_is_checked_at_once_and_found_from_anywhere() {
    let cwd = std::env::current_dir().unwrap();
    let profile = tempfile::Builder::new().suffix(".json").tempfile_in(&cwd).unwrap();
    std::fs::write(&profile, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}").unwrap();
    let name = profile.path().file_name().unwrap().to_str().unwrap().to_owned();
    let words = format!("--security-opt seccomp={name} x");
    assert_eq!(parsed(&words).settings.security.seccomp, SeccompChoice::Profile(cwd.join(&name)));
    std::fs::write(&profile, "nonsense").unwrap();
    let refusal = refused(&words);
    assert!(refusal.contains("--security-opt") && refusal.contains("is no seccomp profile"), "{refusal}");
    assert!(refused("--security-opt seccomp=/none.json x").contains("/none.json"));
}
