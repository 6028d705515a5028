//! A request in the making, and where each of them is answered.

use std::sync::Arc;

use directory::{NameError, ObjectId, Snapshot};

use super::{Plan, Service};
use crate::caller::Caller;
use crate::error::{Fault, FaultKind};
use crate::operations::Request;
use crate::response::{Done, Response};
use crate::simulate::Trial;
use crate::{
    accounts, check, databases, domains, explain, groups, history, mailboxes, ownership, permissions, queued, reports,
    separation, service_accounts, simulate, status,
};

/// A request in the making: who asked, on which snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    pub snapshot: &'a Snapshot,
    pub comment: &'a str,
    /// Changes are tried out there only.
    pub trial: Option<&'a Trial>,
}

impl Asked<'_> {
    pub(crate) fn dispatch(self, request: Request) -> Result<Response, Fault> {
        use Request as R;
        match request {
            R::Status => status::status(self),
            R::UserAdd(add) => accounts::add(self, add),
            R::UserSet(set) => accounts::set(self, set),
            R::UserRemove(target) => accounts::remove(self, &target.identity),
            R::UserList(list) => accounts::list(self, &list),
            R::OuAdd(add) => accounts::add_ou(self, &add),
            R::PasswordSet(set) => accounts::set_password(self, &set),
            R::AppPasswordAdd(add) => crate::app_passwords::add(self, &add),
            R::AppPasswordList(target) => crate::app_passwords::list(self, &target.identity),
            R::AppPasswordRemove(remove) => crate::app_passwords::remove(self, &remove),
            R::Move(wanted) => crate::moves::to(self, &wanted),
            R::ProtectedList => crate::protection::list(self),
            R::ProtectedOrphans => crate::protection::orphans(self),
            R::ProtectedRepair(target) => crate::protection::repair(self, &target.identity),
            R::ProtectedExplain(target) => crate::protection::explain(self, &target.identity),
            R::ProtectedSeparate(wanted) => crate::protection::separate(self, &wanted),
            R::ProtectedEnd(target) => crate::protection::end(self, &target.identity),
            R::ProtectedTemplate(wanted) => crate::protection::template(self, &wanted),
            R::Verify(verify) => crate::verify::verify(self, &verify),
            R::PermissionObserved(observed) => crate::observed::observed(self, &observed),
            R::PermissionUnused(unused) => crate::usage::unused(self, &unused),
            R::Export(export) => crate::export::export(self, &export),
            R::ExportOrganization(export) => crate::export::organization::export(self, &export),
            R::Apply(apply) => crate::apply::apply(self, &apply),
            R::Backup(backup) => crate::backup::backup(self, &backup.file),
            R::GroupAdd(add) => groups::add(self, add),
            R::GroupSet(set) => groups::set(self, set),
            R::GroupRemove(target) => groups::remove(self, &target.identity),
            R::GroupList(list) => groups::list(self, &list),
            R::MemberAdd(members) => groups::change_members(self, &members, true),
            R::MemberRemove(members) => groups::change_members(self, &members, false),
            R::MemberList(list) => groups::list_members(self, &list),
            R::MailboxEnable(enable) => mailboxes::enable(self, &enable),
            R::MailboxSet(set) => mailboxes::set(self, &set),
            R::MailboxDisable(target) => ownership::disconnect(self, &target.identity),
            R::MailboxConnect(connect) => ownership::connect(self, &connect),
            R::MailboxPurge(target) => ownership::purge(self, &target.identity),
            R::MailboxLink(link) => ownership::link(self, &link),
            R::MailboxDisconnected(list) => ownership::list(self, &list),
            R::MailboxList(list) => mailboxes::list(self, &list),
            R::DomainAdd(add) => domains::add(self, &add),
            R::DomainSet(set) => domains::set(self, &set),
            R::DomainRemove(remove) => domains::remove(self, &remove.domain),
            R::DomainList => domains::list(self),
            R::ImportData(data) => crate::import::data(self, &data),
            R::ImportRun(run) => crate::import::run(self, &run),
            R::PermissionAdd(change) => permissions::change(self, &change, true),
            R::PermissionRemove(change) => permissions::change(self, &change, false),
            R::PermissionGet(get) => permissions::get(self, &get),
            R::MailboxPermissionAdd(change) => permissions::change_mailbox(self, &change, true),
            R::MailboxPermissionRemove(change) => permissions::change_mailbox(self, &change, false),
            R::MailboxPermissionGet(target) => permissions::get_mailbox(self, &target.identity),
            R::FolderPermission(request) => crate::folder_permissions::answer(self, &request),
            R::DelegateAdd(delegates) => mailboxes::change_delegates(self, &delegates, true),
            R::DelegateRemove(delegates) => mailboxes::change_delegates(self, &delegates, false),
            R::DelegateGet(target) => mailboxes::delegates(self, &target.identity),
            R::DelegationAdd(wanted) => crate::delegation::change(self, &wanted, true),
            R::DelegationRemove(wanted) => crate::delegation::change(self, &wanted, false),
            R::DelegationGet(target) => crate::delegation::get(self, &target.identity),
            R::Explain(explain) => explain::explain(self, &explain.id),
            R::Check(check) => check::check(self, &check),
            R::QueueList(list) => queued::list(self, &list),
            R::QueueShow(message) => queued::show(self, &message.id),
            R::QueueAmount(filter) => queued::amount(self, &filter),
            R::QueueOrder(order) => queued::order(self, &order),
            R::Trace(trace) => crate::trace::trace(self, trace),
            R::Reload => crate::status::reload(self),
            R::WhoCan(who) => reports::who_can(self, &who),
            R::WhatCan(what) => reports::what_can(self, &what),
            R::AuditExport(export) => reports::export(self, &export),
            R::SeparationExport(export) => separation::runs::export(self, &export),
            R::SeparationImport(import) => separation::runs::import(self, import),
            R::SeparationSetAll(set) => separation::runs::set_all(self, &set),
            R::History(history) => history::history(self, &history),
            R::Undo(undo) => history::undo(self, undo.version),
            R::ImportSteps(steps) => history::import_steps(self, &steps),
            R::ServiceAccountCheck(check) => service_accounts::check(self, &check),
            R::ServiceAccountGrant(grant) => service_accounts::grant(self, &grant),
            R::Access(request) => crate::access::answer(self, &request),
            R::Pause(request) => crate::pause::answer(self, request),
            R::Recipient(request) => crate::recipients::answer(self, &request),
            R::DatabaseNew(new) => databases::new(self, &new),
            R::DatabaseSet(set) => databases::set(self, &set),
            R::ReceiveConnectorNew(new) => crate::connectors::new_receive(self, &new),
            R::ReceiveConnectorSet(set) => crate::connectors::set_receive(self, &set),
            R::ReceiveConnectorGet(get) => crate::connectors::get_receive(self, &get),
            R::ReceiveConnectorRemove(target) => crate::connectors::remove_receive(self, &target.identity),
            R::SendConnectorNew(new) => crate::connectors::new_send(self, &new),
            R::SendConnectorSet(set) => crate::connectors::set_send(self, &set),
            R::SendConnectorGet(get) => crate::connectors::get_send(self, &get),
            R::SendConnectorRemove(target) => crate::connectors::remove_send(self, &target.identity),
            R::ServerNew(new) => crate::servers::new(self, &new),
            R::ServerSet(set) => crate::servers::set(self, &set),
            R::ServerGet(get) => crate::servers::get(self, get.identity.as_deref()),
            R::ServerRemove(target) => crate::servers::remove(self, &target.identity),
            R::SecureDomains(wanted) => crate::servers::secure_domains(self, &wanted),
            R::ConnectorTest(test) => crate::connectors::test(self, &test),
            R::CrossForestEnable(wanted) => crate::connectors::enable_cross_forest(self, &wanted),
            R::Browse(browse) => crate::browse::browse(self, &browse),
            R::SdGet(target) => crate::sd_edit::get(self, &target.identity),
            R::SdSet(set) => crate::sd_edit::set(self, &set),
            R::Simulate(trial) => simulate::simulate(self, *trial.request),
        }
    }

    /// The object of a name.
    pub fn find(&self, name: &str) -> Result<ObjectId, Fault> {
        find(self.snapshot, name)
    }

    /// Plans on the newest snapshot, checks, commits and publishes.
    pub fn change(self, plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>) -> Result<Response, Fault> {
        self.commit(plan).map(|(_, done)| Response::Done(done))
    }

    /// The same, with the snapshot after it. A trial commits nothing and gives the snapshot that would be.
    pub fn commit(self, plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>) -> Result<(Arc<Snapshot>, Done), Fault> {
        match self.trial {
            Some(trial) => trial.change(self, plan),
            None => self.service.change(self.caller, self.comment, plan),
        }
    }
}

/// The object of a name on a snapshot; candidates are listed where there are several.
pub(crate) fn find(snapshot: &Snapshot, name: &str) -> Result<ObjectId, Fault> {
    // A relative path such as OU=Staff means: in the default domain.
    if name.contains('=')
        && snapshot.by_dn(name).is_none()
        && let Some(domain) = snapshot.domains().first()
        && let Some(id) = snapshot.by_dn(&format!("{name},{}", snapshot.dn(domain.object)))
    {
        return Ok(id);
    }
    // A path from the top down, as S2 writes it.
    if name.contains('\\')
        && name.contains('=')
        && let Some(id) = crate::browse::by_path(snapshot, name)
    {
        return Ok(id);
    }
    snapshot.resolve(name).map_err(|error| match error {
        NameError::Unknown(_) => Fault::new(FaultKind::NotFound, error.to_string())
            .help("name it by address, DOMAIN\\name, distinguished name, SID or objectGUID"),
        NameError::Ambiguous { ref candidates, .. } => {
            let listed: Vec<String> = candidates.iter().map(|id| snapshot.dn(*id)).collect();
            Fault::new(FaultKind::Ambiguous, format!("{error}: {}", listed.join("; ")))
                .help("use the distinguished name of the one you mean")
        }
    })
}
