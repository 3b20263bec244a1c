//! One pod, in the host's network, and the containers in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::daemon::Containerd;
use crate::{eventually, must, output, rootfs, terminal};

/// The image of everything, the pod's own container too: Kubernetes' pause image comes from a registry.
const IMAGE: &str = "localhost/busybox:test";

/// containerd with the CRI plugin, whose only runtime is ours, and a pod.
pub(crate) struct Cri {
    containerd: Containerd,
    crictl: PathBuf,
    pod: String,
}

impl Cri {
    pub(crate) fn start(crictl: PathBuf) -> Self {
        let containerd = Containerd::start(config);
        let dir = containerd.dir.path();
        make_image(dir);
        let image = dir.join("image.tar");
        must(&mut ctr(dir, &["images", "import", image.to_str().unwrap()]));
        let config = json!({
            "metadata": {"name": "p", "namespace": "default", "uid": format!("u-{}", std::process::id())},
            "log_directory": dir.join("logs"),
            // The host's: no network plugin is needed.
            "linux": {"security_context": {"namespace_options": {"network": 2}}}
        });
        fs::write(dir.join("pod.json"), config.to_string()).unwrap();
        let mut cri = Self { containerd, crictl, pod: String::new() };
        cri.pod = cri.must(&["runp", &cri.file("pod.json")]);
        cri
    }

    fn file(&self, name: &str) -> String {
        self.containerd.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let socket = format!("unix://{}", self.file("sock"));
        let mut command = Command::new(&self.crictl);
        command.args(["--timeout", "60s", "--runtime-endpoint", &socket, "--image-endpoint", &socket]);
        command.args(words);
        command
    }

    fn must(&self, words: &[&str]) -> String {
        must(&mut self.command(words)).trim_end().to_owned()
    }

    /// Creates and starts a container that runs `script`.
    fn container(&self, name: &str, script: &str) -> String {
        let config = json!({
            "metadata": {"name": name}, "image": {"image": IMAGE}, "command": ["sh", "-c", script],
            "log_path": format!("{name}.log"), "linux": {"resources": {"memory_limit_in_bytes": 64 << 20}}
        });
        let file = self.file(&format!("{name}.json"));
        fs::write(&file, config.to_string()).unwrap();
        let id = self.must(&["create", &self.pod, &file, &self.file("pod.json")]);
        self.must(&["start", &id]);
        id
    }

    fn inspect(&self, id: &str, template: &str) -> String {
        self.must(&["inspect", "-o", "go-template", "--template", template, id])
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        let _ = self.command(&["rmp", "--force", "--all"]).output();
        // What containerd keeps for its next start.
        let _ = fs::remove_dir("/run/containerd/runc/k8s.io");
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join("k8s.io"));
        }
        let _ = fs::remove_dir("/sys/fs/cgroup/k8s.io");
    }
}

fn config(dir: &Path) -> String {
    let dir = dir.display();
    // Lowering oom_score_adj is not allowed everywhere.
    format!(
        r#"[plugins."io.containerd.grpc.v1.cri"]
        sandbox_image = "{IMAGE}"
        restrict_oom_score_adj = true
        [plugins."io.containerd.grpc.v1.cri".cni]
        bin_dir = "{dir}/cni"
        conf_dir = "{dir}/cni"
        [plugins."io.containerd.grpc.v1.cri".containerd]
        default_runtime_name = "gaufre"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gaufre]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gaufre.options]
        BinaryName = "{}"
        Root = "{dir}/oci""#,
        rootfs::runtime()
    )
}

/// ctr in the namespace of the CRI plugin.
fn ctr(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(dir.join("sock")).args(["--namespace", "k8s.io"]).args(words);
    command
}

/// `image.tar`: an archive as `docker save` makes it, of one layer.
fn make_image(dir: &Path) {
    rootfs::make(&dir.join("rootfs"));
    let image = dir.join("image");
    fs::create_dir(&image).unwrap();
    let tar = |from: &Path, to: &Path| {
        must(Command::new("tar").arg("--create").arg("--file").arg(to).arg("--directory").arg(from).arg("."))
    };
    let layer = image.join("layer.tar");
    tar(&dir.join("rootfs"), &layer);
    let digest = must(Command::new("sha256sum").arg(&layer));
    let digest = digest.split_whitespace().next().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "history": [{}],
        "config": {"Cmd": ["sleep", "600000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]}
    });
    fs::write(image.join("config.json"), config.to_string()).unwrap();
    let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
    tar(&image, &dir.join("image.tar"));
}

pub(crate) fn a_pod_s_container_goes_through_its_life(cri: &Cri) {
    assert!(cri.must(&["pods", "--state", "Ready", "--quiet"]).contains(&cri.pod));
    let script = "echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.1; done";
    let id = cri.container("life", script);
    assert_eq!(cri.inspect(&id, "{{.status.state}}"), "CONTAINER_RUNNING");
    eventually("the logs", || {
        let logs = output(&mut cri.command(&["logs", &id]));
        logs.stdout == b"out\n" && String::from_utf8_lossy(&logs.stderr).ends_with("err\n")
    });
    assert_eq!(cri.must(&["exec", &id, "echo", "in"]), "in");
    let failed = output(&mut cri.command(&["exec", "--sync", &id, "sh", "-c", "exit 5"]));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("exited with 5"), "{said}");
    cri.must(&["stop", "--timeout", "20", &id]);
    assert_eq!(cri.inspect(&id, "{{.status.state}} {{.status.exitCode}}"), "CONTAINER_EXITED 3");
    cri.must(&["rm", &id]);
    assert_eq!(cri.must(&["ps", "--all", "--quiet"]), "");
    assert!(!fs::exists(cri.file(&format!("oci/k8s.io/{id}"))).unwrap());
}

pub(crate) fn a_limit_is_set_and_changed(cri: &Cri) {
    let id = cri.container("limit", "sleep 600");
    let pid = cri.inspect(&id, "{{.info.pid}}");
    assert_eq!(memory_limit(&pid), 64 << 20);
    cri.must(&["update", "--memory", &(96 << 20).to_string(), &id]);
    assert_eq!(memory_limit(&pid), 96 << 20);
    // A statistic comes from the same group.
    let stats = cri.must(&["stats", "--output", "json", &id]);
    assert!(stats.contains("workingSetBytes"), "{stats}");
    cri.must(&["rm", "--force", &id]);
}

/// The limit of the group that a process is in, on either version of cgroups.
fn memory_limit(pid: &str) -> u64 {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = |line: &str| line.rsplit_once(':').unwrap().1.to_owned();
    let legacy = groups.lines().find(|line| line.contains(":memory:")).map(path);
    let file = match legacy {
        Some(group) => format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes"),
        None => format!("/sys/fs/cgroup{}/memory.max", path(groups.lines().next().unwrap())),
    };
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

pub(crate) fn a_pod_s_container_has_a_terminal(cri: &Cri) {
    let id = cri.container("terminal", "sleep 600");
    let typed = &[("# ", "stty size\r"), ("33 77", "exit 6\r")];
    let mut exec = cri.command(&["exec", "--interactive", "--tty", &id, "sh"]);
    let (shown, code) = terminal::talk(&mut exec, typed);
    // crictl's own code is 1; it tells the container's.
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("exit code 6"), "{shown}");
    cri.must(&["rm", "--force", &id]);
}
