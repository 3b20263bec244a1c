//! The verbs that gaufre says to itself: helper processes are this same program, started by exec. Those that do what
//! their arguments say begin with two underscores, as nothing that anybody types by mistake.

use std::process::ExitCode;

use crate::failure::CliError;
use crate::verbs::demo;

/// Becomes the helper that the first argument names; `None` if it names none.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next()?;
    match verb.to_str()? {
        "keeper" => Some(gaufre_engine::keeper::main(args.collect())),
        gaufre_engine::init::VERB => Some(gaufre_engine::init::main(args.collect())),
        gaufre_engine::demo::WORKLOAD_VERB => Some(demo::workload::serve()),
        demo::REGISTRY_VERB => Some(match gaufre_engine::demo::serve_registry() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let error = CliError::from(error);
                error.print();
                error.exit_code().into()
            }
        }),
        _ => None,
    }
}
