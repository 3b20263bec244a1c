//! `linux.memoryPolicy`: set_mempolicy(2), on which memory nodes a process's pages are.

use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};

use super::cpu_list;
use crate::step::{Step, StepError};
use crate::sys::scheduler::set_memory_policy;

/// More nodes than any kernel is built for (`CONFIG_NODES_SHIFT` is at most 10).
const NODES_MAX: usize = 1024;

/// The policy, ready for the call.
#[derive(Clone, Debug)]
pub(crate) struct MemoryPolicyPlan {
    mode: i32,
    nodes: Vec<u64>,
    name: String,
}

impl MemoryPolicyPlan {
    /// Checks what the configuration asks for.
    pub(crate) fn new(asked: &LinuxMemoryPolicy) -> Result<Self, StepError> {
        use MemoryPolicyModeType as M;
        let mut mode = match asked.mode() {
            M::MpolDefault => 0,
            M::MpolPreferred => 1,
            M::MpolBind => 2,
            M::MpolInterleave => 3,
            M::MpolLocal => 4,
            M::MpolPreferredMany => 5,
            M::MpolWeightedInterleave => 6,
        };
        for flag in asked.flags().iter().flatten() {
            mode |= match flag {
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
            };
        }
        let list = asked.nodes().as_deref().unwrap_or_default();
        let mut nodes = Vec::new();
        if !list.is_empty() {
            let numbers = cpu_list::parse(list, NODES_MAX).ok_or_else(|| {
                StepError::rule(format!("linux.memoryPolicy.nodes: \"{list}\" is not a list of memory nodes"))
            })?;
            nodes.resize(numbers.iter().max().map_or(0, |last| last / 64 + 1), 0_u64);
            for number in numbers {
                if let Some(word) = nodes.get_mut(number / 64) {
                    *word |= 1 << (number % 64);
                }
            }
        }
        Ok(Self { mode, nodes, name: asked.mode().to_string() })
    }

    /// Sets it for the calling process and its program.
    pub(crate) fn apply(&self) -> Result<(), StepError> {
        set_memory_policy(self.mode, &self.nodes)
            .step(|| format!("could not set linux.memoryPolicy to {}", self.name))
    }
}
