//! From arguments to requests.

use std::io::{self, BufRead, Write};

use admin::operations as op;
use zeroize::Zeroizing;

use super::args::{
    AccountCommand, AppPasswordCommand, Check, Command, DelegateCommand, Delegates, DelegationCommand, DomainCommand,
    DomainKind, Explain, Grant, GroupCommand, ListArgs, MailboxCommand, MailboxGrant, MailboxPermissionCommand,
    MemberCommand, OuCommand, PasswordCommand, PermissionCommand, Scope, UserCommand,
};
use super::fault::Failure;

/// The request of a command that is one; commands that are more are done elsewhere.
pub fn request(command: Command) -> Result<op::Request, Failure> {
    use op::Request as R;
    Ok(match command {
        Command::User(command) => user(command)?,
        Command::Group(command) => group(command),
        Command::Mailbox(command) => match command {
            MailboxCommand::Add { user, database, address, linked } => {
                R::MailboxEnable(op::MailboxEnable { identity: user, database, address, linked })
            }
            MailboxCommand::Set { user, database, sending_limits } => R::MailboxSet(op::MailboxSet {
                identity: user,
                database,
                sending_limits: sending_limits.map(|all| all.into_iter().filter(|one| !one.is_empty()).collect()),
            }),
            MailboxCommand::Remove { user } => R::MailboxDisable(op::Target { identity: user }),
            MailboxCommand::Connect { mailbox, to, address, former_addresses } => {
                R::MailboxConnect(op::MailboxConnect { mailbox, to, address, former_addresses })
            }
            MailboxCommand::Purge { mailbox } => R::MailboxPurge(op::Target { identity: mailbox }),
            MailboxCommand::Link { user, account, disable } => {
                R::MailboxLink(op::MailboxLink { identity: user, account: Some(account), disable })
            }
            MailboxCommand::Unlink { user } => {
                R::MailboxLink(op::MailboxLink { identity: user, account: None, disable: false })
            }
            MailboxCommand::List(args) if args.disconnected => R::MailboxDisconnected(list(args.list)),
            MailboxCommand::List(args) => R::MailboxList(list(args.list)),
        },
        Command::Domain(command) => match command {
            DomainCommand::Add { domain, kind, alias_of, subaddressing, recipient_lookup } => {
                R::DomainAdd(op::DomainAdd {
                    domain,
                    kind: domain_kind(kind),
                    alias_of,
                    subaddressing,
                    recipient_lookup,
                })
            }
            DomainCommand::Set { domain, kind, alias_of, subaddressing, recipient_lookup } => {
                let kind = kind.map(domain_kind);
                R::DomainSet(op::DomainSet { domain, kind, alias_of, subaddressing, recipient_lookup })
            }
            DomainCommand::Remove { domain } => R::DomainRemove(op::DomainRemove { domain }),
            DomainCommand::List => R::DomainList,
        },
        Command::Ou(OuCommand::Add { name, under, protected }) => R::OuAdd(op::OuAdd { name, under, protected }),
        Command::Password(PasswordCommand::Set { user, stdin }) => {
            let password = if stdin { password_from_stdin()? } else { ask_password(&user)? };
            R::PasswordSet(op::PasswordSet { identity: user, password })
        }
        Command::Account(AccountCommand::AppPassword(command)) => match command {
            AppPasswordCommand::Add { user, name } => R::AppPasswordAdd(op::AppPasswordName { identity: user, name }),
            AppPasswordCommand::List { user } => R::AppPasswordList(op::Target { identity: user }),
            AppPasswordCommand::Remove { user, name } => {
                R::AppPasswordRemove(op::AppPasswordName { identity: user, name })
            }
        },
        Command::Permission(command) => match command {
            PermissionCommand::Add { grant, until } => {
                R::PermissionAdd(op::PermissionChange { until: time(until)?, ..permission(grant) })
            }
            PermissionCommand::Remove(grant) => R::PermissionRemove(permission(grant)),
            PermissionCommand::Unused { days, all, full_access } => {
                R::PermissionUnused(op::PermissionUnused { days, all, full_access, after: None })
            }
            PermissionCommand::Observed { days } => R::PermissionObserved(op::PermissionObserved { days }),
            PermissionCommand::Get { object, trustee } => {
                R::PermissionGet(op::PermissionGet { identity: object, trustee })
            }
        },
        Command::MailboxPermission(command) => match command {
            MailboxPermissionCommand::Add { grant, until } => R::MailboxPermissionAdd(op::MailboxPermissionChange {
                until: time(until)?,
                ..mailbox_permission(grant)
            }),
            MailboxPermissionCommand::Remove(grant) => R::MailboxPermissionRemove(mailbox_permission(grant)),
            MailboxPermissionCommand::Get { mailbox } => R::MailboxPermissionGet(op::Target { identity: mailbox }),
        },
        Command::SendOnBehalf(command) => match command {
            DelegateCommand::Add { owner, delegates, until } => {
                R::DelegateAdd(op::Delegates { identity: owner, delegates, until: time(until)? })
            }
            DelegateCommand::Remove { owner, delegates } => {
                R::DelegateRemove(op::Delegates { identity: owner, delegates, until: None })
            }
            DelegateCommand::Get { owner } => R::DelegateGet(op::Target { identity: owner }),
        },
        Command::Delegate(command) => match command {
            DelegationCommand::Add { who, until } => {
                R::DelegationAdd(op::Delegation { until: time(until)?, ..delegation(who) })
            }
            DelegationCommand::Remove(who) => R::DelegationRemove(delegation(who)),
            DelegationCommand::Get { owner } => R::DelegationGet(op::Target { identity: owner }),
        },
        Command::Check(Check { who, from, sender, mail_from, logon, connector, to }) => {
            R::Check(op::Check { who, from, sender, mail_from, logon, connector, to })
        }
        Command::Explain(Explain { id }) => R::Explain(op::Explain { id }),
        Command::Status => R::Status,
        Command::Reload => R::Reload,
        Command::Serve(_)
        | Command::Init(_)
        | Command::Config(_)
        | Command::Import(_)
        | Command::Bench(_)
        | Command::Completion(_)
        | Command::Man(_)
        | Command::Tool(_)
        | Command::Lifecycle(_)
        | Command::Connectors(_)
        | Command::Queue(_)
        | Command::Recipient(_)
        | Command::Directory(_)
        | Command::Trace(_)
        | Command::Doctor(_)
        | Command::Sendmail(_)
        | Command::Sd(_) => {
            return Err(Failure::new("this command is no request to the service"));
        }
    })
}

/// Whether a request changes nothing, so that there is nothing to try out.
pub fn only_looks(request: &op::Request) -> bool {
    use op::Request as R;
    matches!(
        request,
        R::Status
            | R::UserList(_)
            | R::GroupList(_)
            | R::MemberList(_)
            | R::MailboxList(_)
            | R::MailboxDisconnected(_)
            | R::DomainList
            | R::AppPasswordList(_)
            | R::PermissionGet(_)
            | R::PermissionUnused(_)
            | R::PermissionObserved(_)
            | R::MailboxPermissionGet(_)
            | R::DelegateGet(_)
            | R::DelegationGet(_)
            | R::Explain(_)
            | R::Check(_)
    )
}

fn user(command: UserCommand) -> Result<op::Request, Failure> {
    use op::Request as R;
    Ok(match command {
        UserCommand::Add {
            name,
            display_name,
            ou,
            sam_account_name,
            addresses,
            mailbox,
            database,
            disabled,
            password_stdin,
        } => {
            let password = if password_stdin { Some(password_from_stdin()?) } else { None };
            R::UserAdd(op::UserAdd {
                name,
                display_name,
                ou,
                sam_account_name,
                addresses,
                password,
                disabled,
                mailbox,
                database,
            })
        }
        UserCommand::Set {
            user,
            display_name,
            sam_account_name,
            addresses,
            add_address,
            remove_address,
            ou,
            enable,
            disable,
        } => R::UserSet(op::UserSet {
            identity: user,
            display_name,
            sam_account_name,
            addresses: (!addresses.is_empty()).then_some(addresses),
            add_addresses: add_address,
            remove_addresses: remove_address,
            enabled: if enable { Some(true) } else { disable.then_some(false) },
            ou,
        }),
        UserCommand::Remove { user } => R::UserRemove(op::Target { identity: user }),
        UserCommand::List(args) => R::UserList(list(args)),
    })
}

fn group(command: GroupCommand) -> op::Request {
    use op::Request as R;
    match command {
        GroupCommand::Add { name, sam_account_name, display_name, ou, distribution, scope, addresses, members } => {
            let scope = match scope {
                Scope::Global => op::GroupScope::Global,
                Scope::Universal => op::GroupScope::Universal,
                Scope::DomainLocal => op::GroupScope::DomainLocal,
            };
            R::GroupAdd(op::GroupAdd {
                name,
                sam_account_name,
                display_name,
                ou,
                distribution,
                scope,
                addresses,
                members,
            })
        }
        GroupCommand::Set { group, display_name, addresses, ou } => {
            let addresses = (!addresses.is_empty()).then_some(addresses);
            R::GroupSet(op::GroupSet { identity: group, display_name, addresses, ou })
        }
        GroupCommand::Remove { group } => R::GroupRemove(op::Target { identity: group }),
        GroupCommand::List(args) => R::GroupList(list(args)),
        GroupCommand::Member(MemberCommand::Add { group, members }) => R::MemberAdd(op::Members { group, members }),
        GroupCommand::Member(MemberCommand::Remove { group, members }) => {
            R::MemberRemove(op::Members { group, members })
        }
        GroupCommand::Member(MemberCommand::List { group, recursive }) => {
            R::MemberList(op::MemberList { group, recursive })
        }
    }
}

fn list(args: ListArgs) -> op::List {
    op::List { under: args.under, ..op::List::default() }
}

fn permission(grant: Grant) -> op::PermissionChange {
    let Grant { object, trustee, rights, deny, inherit_to, inheritance } = grant;
    op::PermissionChange { identity: object, trustee, rights, deny, inherit_to, inheritance, until: None }
}

fn mailbox_permission(grant: MailboxGrant) -> op::MailboxPermissionChange {
    let MailboxGrant { mailbox, trustee, rights, deny } = grant;
    op::MailboxPermissionChange { identity: mailbox, trustee, rights, deny, until: None }
}

fn delegation(who: Delegates) -> op::Delegation {
    let Delegates { owner, delegates, full_access, send_as } = who;
    op::Delegation { identity: owner, delegates, full_access, send_as, until: None }
}

/// The time of `--until`: milliseconds since the Unix epoch.
fn time(until: Option<String>) -> Result<Option<i64>, Failure> {
    until.map(|text| super::lifecycle::time(&text, jiff::Timestamp::now())).transpose()
}

fn domain_kind(kind: DomainKind) -> op::DomainKind {
    match kind {
        DomainKind::Authoritative => op::DomainKind::Authoritative,
        DomainKind::InternalRelay => op::DomainKind::InternalRelay,
        DomainKind::ExternalRelay => op::DomainKind::ExternalRelay,
    }
}

pub fn password_from_stdin() -> Result<op::Secret, Failure> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line).map_err(|e| Failure::new(format!("standard input: {e}")))?;
    let password = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() {
        return Err(Failure::new("the password is empty").help("give it as the first line of standard input"));
    }
    Ok(op::Secret(password))
}

/// Asks twice on the terminal, without echo.
fn ask_password(user: &str) -> Result<op::Secret, Failure> {
    let first = ask(&format!("New password for {user}: "), "--stdin")?;
    if first.is_empty() {
        return Err(Failure::new("the password is empty"));
    }
    let second = ask("Once more: ", "--stdin")?;
    if first != second {
        return Err(Failure::new("the two differ; nothing was changed"));
    }
    Ok(op::Secret(first))
}

/// Asks for a password on the terminal, without echo. `option` takes it from standard input instead.
pub fn ask(prompt: &str, option: &str) -> Result<Zeroizing<String>, Failure> {
    let ask = || -> io::Result<Zeroizing<String>> {
        let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        silent.local_modes.insert(rustix::termios::LocalModes::ECHONL);
        (&terminal).write_all(prompt.as_bytes())?;
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Flush, &silent)?;
        let mut line = Zeroizing::new(String::new());
        let read = io::BufReader::new(&terminal).read_line(&mut line);
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Flush, &before)?;
        read?;
        Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
    };
    ask().map_err(|error| {
        Failure::new(format!("no terminal to ask for the password on: {error}"))
            .help(format!("give it on standard input with {option}"))
    })
}
