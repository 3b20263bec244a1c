//! Hooks: programs of the configuration's author that run at set points of a sandbox's life. config.md,
//! "POSIX-platform Hooks"; runtime.md, "Lifecycle".
//!
//! | stage | when | where | a failure |
//! |---|---|---|---|
//! | prestart, createRuntime | all is mounted, the root not yet entered | the runtime's namespaces | ends the sandbox |
//! | createContainer | after them | the container's namespaces; the program is the host's | ends the sandbox |
//! | startContainer | after the start, before the workload | inside, as the workload's user, with its privileges | ends the sandbox |
//! | poststart | the workload was executed | the runtime's namespaces | ends the sandbox |
//! | poststop | the sandbox is deleted | the runtime's namespaces | is a warning; the next one runs |
//!
//! [`crate::create`] and the process it makes run the first four, [`crate::Created::start`] poststart; who starts a
//! sandbox by [`crate::start_at`] runs poststart, and whoever deletes one poststop, by the functions here.

mod program;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hook, Spec};

pub use program::HookError;

/// A point in a sandbox's life at which hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `hooks.prestart`, which the specification calls deprecated: as createRuntime, before it.
    Prestart,
    /// `hooks.createRuntime`.
    CreateRuntime,
    /// `hooks.createContainer`.
    CreateContainer,
    /// `hooks.startContainer`.
    StartContainer,
    /// `hooks.poststart`.
    Poststart,
    /// `hooks.poststop`.
    Poststop,
}

impl Stage {
    /// The field of the configuration.
    pub fn field(self) -> &'static str {
        match self {
            Self::Prestart => "hooks.prestart",
            Self::CreateRuntime => "hooks.createRuntime",
            Self::CreateContainer => "hooks.createContainer",
            Self::StartContainer => "hooks.startContainer",
            Self::Poststart => "hooks.poststart",
            Self::Poststop => "hooks.poststop",
        }
    }

    /// What the state on the hook's standard input says.
    fn status(self) -> &'static str {
        match self {
            Self::CreateRuntime | Self::CreateContainer => "creating",
            Self::Prestart | Self::StartContainer => "created",
            Self::Poststart => "running",
            Self::Poststop => "stopped",
        }
    }

    /// Where the program runs: the last one before the workload has the container's root only.
    fn dir(self, bundle: &Path) -> &Path {
        if self == Self::StartContainer { Path::new("/") } else { bundle }
    }
}

/// The hooks of one sandbox, and what they are told of it.
#[derive(Clone, Debug)]
pub struct Hooks {
    hooks: Option<oci_spec::runtime::Hooks>,
    id: String,
    bundle: PathBuf,
    oci_version: String,
    annotations: std::collections::HashMap<String, String>,
}

impl Hooks {
    /// The hooks of `spec` for the sandbox `id`.
    pub fn of(spec: &Spec, id: &str, bundle: &Path) -> Self {
        let hooks = spec.hooks().clone();
        // Only copied where somebody will read it.
        let annotations = hooks.as_ref().and_then(|_| spec.annotations().clone()).unwrap_or_default();
        let (id, bundle, oci_version) = (id.to_owned(), bundle.to_owned(), spec.version().clone());
        Self { hooks, id, bundle, oci_version, annotations }
    }

    /// Checks what can be known before anything runs: config.md wants absolute paths and positive timeouts.
    ///
    /// # Errors
    /// A sentence that names the hook.
    pub(crate) fn check(&self) -> Result<(), crate::step::StepError> {
        use Stage as S;
        let stages =
            [S::Prestart, S::CreateRuntime, S::CreateContainer, S::StartContainer, S::Poststart, S::Poststop];
        for stage in stages {
            for hook in self.at(stage) {
                let bad = |what: &str| {
                    let path = hook.path().display();
                    Err(crate::step::StepError::rule(format!("{}: {path} {what}", stage.field())))
                };
                if !hook.path().is_absolute() {
                    return bad("is not an absolute path");
                }
                if hook.timeout().is_some_and(|seconds| seconds <= 0) {
                    return bad("has a timeout that is not above zero");
                }
                if hook.env().iter().flatten().any(|variable| !variable.contains('=')) {
                    return bad("has a variable that is not of the form NAME=value");
                }
            }
        }
        Ok(())
    }

    /// Whether there are any at this stage.
    pub fn has(&self, stage: Stage) -> bool {
        !self.at(stage).is_empty()
    }

    /// Whether the root has to be where the host knows it: hooks before it is entered look for it in the bundle.
    pub(crate) fn need_root_in_bundle(&self) -> bool {
        [Stage::Prestart, Stage::CreateRuntime, Stage::CreateContainer]
            .into_iter()
            .any(|stage| self.has(stage))
    }

    /// Runs the hooks of a stage in order, up to the first that fails. `pid` is the sandbox's first process, as seen
    /// where the hook runs.
    ///
    /// # Errors
    /// The hook that failed, with the end of what it printed.
    pub fn run(&self, stage: Stage, pid: i32) -> Result<(), HookError> {
        let hooks = self.at(stage);
        if hooks.is_empty() {
            return Ok(());
        }
        let state = self.state(stage, pid);
        hooks.iter().try_for_each(|hook| program::run(hook, stage, stage.dir(&self.bundle), &state))
    }

    /// Runs the poststop hooks, all of them whatever becomes of one, and gives those that failed: runtime.md wants a
    /// warning.
    pub fn run_poststop(&self) -> Vec<HookError> {
        let hooks = self.at(Stage::Poststop);
        if hooks.is_empty() {
            return Vec::new();
        }
        let state = self.state(Stage::Poststop, 0);
        let run = |hook| program::run(hook, Stage::Poststop, &self.bundle, &state).err();
        hooks
            .iter()
            .filter_map(run)
            .inspect(|error| tracing::warn!(%error, "a poststop hook failed"))
            .collect()
    }

    /// runtime.md, "State".
    fn state(&self, stage: Stage, pid: i32) -> String {
        serde_json::json!({
            "ociVersion": self.oci_version,
            "id": self.id,
            "status": stage.status(),
            "pid": pid,
            "bundle": self.bundle,
            "annotations": self.annotations,
        })
        .to_string()
    }

    fn at(&self, stage: Stage) -> &[Hook] {
        let Some(hooks) = &self.hooks else { return &[] };
        #[allow(deprecated, reason = "the specification still has it, so a configuration may")]
        let list = match stage {
            Stage::Prestart => hooks.prestart(),
            Stage::CreateRuntime => hooks.create_runtime(),
            Stage::CreateContainer => hooks.create_container(),
            Stage::StartContainer => hooks.start_container(),
            Stage::Poststart => hooks.poststart(),
            Stage::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}
