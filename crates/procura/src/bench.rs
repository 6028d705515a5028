//! `procura bench smtp` and `procura bench sink`: the load generator and its sink with a command line.

use std::io;
use std::time::Duration;

use load::{Accounts, Auth, Connections, Plan, Sink, Stop, Tls};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli::args::{BenchSink, BenchSmtp, Format, Global};
use crate::cli::fault::Failure;

/// Runs the load and shows the report.
pub fn smtp(global: &Global, arguments: &BenchSmtp) -> Result<(), Failure> {
    let plan = plan(arguments)?;
    let report = load::run_blocking(&plan).map_err(|e| Failure::new(e.to_string()))?;
    match global.format {
        Format::Table => print!("{report}"),
        _ => println!("{}", report.to_json()),
    }
    Ok(())
}

/// Accepts and discards mail until the process is interrupted or told to end; says then how much it was.
pub fn sink(arguments: &BenchSink) -> Result<(), Failure> {
    let BenchSink { listen, stall, ask } = *arguments;
    let failed = |e: io::Error| Failure::new(format!("{listen}: {e}"));
    if !listen.ip().is_loopback() {
        return Err(Failure::new(format!("{listen} is no loopback address"))
            .help("a sink has no limits; listen as on 127.0.0.1:2526"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        // Before anybody can see that it listens.
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let sink = Sink::bind(listen).await.map_err(failed)?;
        let count = sink.count();
        let (done, ended) = oneshot::channel();
        if ask {
            let count = count.clone();
            std::thread::spawn(move || {
                for _ in io::stdin().lines().map_while(Result::ok) {
                    println!("{}", count.messages());
                }
                let _ = done.send(());
            });
        }
        let asked = async {
            match ask {
                true => drop(ended.await),
                false => std::future::pending().await,
            }
        };
        let serving = async { if stall { sink.stall().await } else { sink.serve().await } };
        tokio::select! {
            ended = serving => ended.map_err(failed)?,
            () = asked => {}
            _ = terminate.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failed)?,
        }
        println!("{} messages, {} octets", count.messages(), count.bytes());
        Ok(())
    })
}

fn plan(arguments: &BenchSmtp) -> Result<Plan, Failure> {
    let mut plan = Plan::new(arguments.target, arguments.senders.clone(), arguments.recipient.clone());
    if arguments.tls {
        plan.tls = Tls::StartTls {
            roots: arguments.trust.clone(),
            name: arguments.tls_name.clone(),
            resume: !arguments.no_resume,
        };
    }
    let accounts = match (&arguments.accounts, &arguments.password, &arguments.accounts_file) {
        (Some(login), Some(password), _) => {
            Some(Accounts::Pattern { login: login.clone(), password: password.clone() })
        }
        (_, _, Some(file)) => {
            let named = |e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|e| named(&e))?;
            Some(Accounts::from_lines(&text).map_err(|e| named(&e))?)
        }
        _ => None,
    };
    plan.auth = accounts.map(|accounts| Auth { mechanism: arguments.mechanism, accounts });
    plan.recipients_per_message = arguments.recipients;
    plan.sizes = arguments.size.clone();
    plan.sessions = arguments.sessions;
    plan.connections = arguments.reconnect.map_or(Connections::Kept, Connections::Fresh);
    plan.pipelining = !arguments.no_pipelining;
    plan.rate = arguments.rate;
    plan.stop = match arguments.seconds {
        Some(seconds) => Stop::After(
            Duration::try_from_secs_f64(seconds).map_err(|e| Failure::new(format!("--seconds {seconds}: {e}")))?,
        ),
        None => Stop::Count(arguments.messages),
    };
    plan.seed = arguments.seed;
    Ok(plan)
}
