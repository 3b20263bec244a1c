//! The verbs, one file for each: what it takes, what it does, what it prints.

pub(crate) mod attach;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod rm;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod system;
pub(crate) mod tag;
pub(crate) mod untag;
pub(crate) mod version;
pub(crate) mod volume;
pub(crate) mod wait;
