//! `sd check`: AccessCheck on lines of JSON.
//!
//! Beside what the help says, a line may hold `deny_only`, `restricting` and `device_sids` (lists of SIDs),
//! `user_claims` and `device_claims` (`{"title": "VP", "clearance": [1, 2]}`), `privileges`
//! (`["security", "take-ownership"]`) and `mapping` (`directory`, `file` or `none`).

use acl::check::{Request, Step, Token, TreeNode, check_with};
use acl::condition::{Claim, ClaimValues};
use acl::{GenericMapping, SddlContext, SecurityDescriptor};
use serde_json::{Value, json};

use super::{From, input};

/// One line.
pub fn line(text: &str, context: &SddlContext) -> Result<String, String> {
    let question: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let sd = match (&question["sddl"], &question["hex"]) {
        (Value::String(sddl), Value::Null) => input::descriptor(sddl, From::Sddl, context)?,
        (Value::Null, Value::String(hex)) => input::descriptor(hex, From::Hex, context)?,
        _ => return Err("one of sddl and hex is needed, as text".into()),
    };
    let token = token(&question, context)?;
    let path = input::list(&question, "tree")?.iter().map(|value| input::guid(value, "tree"));
    let tree = TreeNode::path(&path.collect::<Result<Vec<_>, _>>()?);
    let self_sid = input::optional_sid(&question, "self", context)?;
    let mapping = match question["mapping"].as_str() {
        None | Some("directory") => GenericMapping::DIRECTORY,
        Some("file") => GenericMapping::FILE,
        Some("none") => GenericMapping::NONE,
        Some(other) => return Err(format!("mapping {other} is none of directory, file, none")),
    };
    let access = input::mask(&question["access"])?;
    let request = Request { mapping, ..Request::new(access) }.with_tree(&tree).with_self(self_sid.as_ref());
    let mut steps: Vec<Step> = Vec::new();
    let verdict = check_with(&sd, &token, &request, &mut steps).map_err(|e| e.to_string())?;
    let trace: Vec<Value> = steps.iter().map(|step| step_json(step, &sd, &tree, context)).collect();
    Ok(json!({ "allowed": verdict.is_allowed(), "granted": verdict.granted.0, "trace": trace }).to_string())
}

fn token(question: &Value, context: &SddlContext) -> Result<Token, String> {
    let privileges = input::list(question, "privileges")?;
    let restricting = match &question["restricting"] {
        Value::Null => None,
        _ => Some(input::sids(question, "restricting", context)?),
    };
    Ok(Token {
        sids: input::sids(question, "token", context)?,
        deny_only: input::sids(question, "deny_only", context)?,
        restricting,
        device_sids: input::sids(question, "device_sids", context)?,
        user_claims: claims(question, "user_claims")?,
        device_claims: claims(question, "device_claims")?,
        local_claims: Vec::new(),
        security_privilege: privileges.iter().any(|name| name == "security"),
        take_ownership_privilege: privileges.iter().any(|name| name == "take-ownership"),
    })
}

fn claims(question: &Value, name: &str) -> Result<Vec<Claim>, String> {
    let fault = || format!("{name} is an object of texts, integers, or lists of one of them");
    let members = match &question[name] {
        Value::Null => return Ok(Vec::new()),
        Value::Object(members) => members,
        _ => return Err(fault()),
    };
    let claim = |(name, value): (&String, &Value)| {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let texts: Option<Vec<String>> = values.iter().map(|v| v.as_str().map(str::to_owned)).collect();
        let numbers: Option<Vec<i64>> = values.iter().map(Value::as_i64).collect();
        let values = texts.map(ClaimValues::Strings).or(numbers.map(ClaimValues::Integers)).ok_or_else(fault)?;
        Ok(Claim { name: name.clone(), flags: 0, values })
    };
    members.iter().map(claim).collect()
}

fn step_json(step: &Step, sd: &SecurityDescriptor, tree: &[TreeNode], context: &SddlContext) -> Value {
    match *step {
        Step::Privilege(rights) => json!({ "by": "privilege", "allowed": rights.0 }),
        Step::PrivilegeMissing => json!({ "by": "missing privilege" }),
        Step::NullDacl => json!({ "by": "no DACL" }),
        Step::Owner(rights) => json!({ "by": "owner", "allowed": rights.0 }),
        Step::Restricting => json!({ "by": "restricting SIDs" }),
        Step::Ace { index, node, allowed, denied } => {
            let ace = sd.dacl.as_ref().and_then(|dacl| dacl.aces.get(index));
            let sddl = ace.map(|ace| ace.sddl(context).to_string());
            let node = tree.get(node).map(|node| node.guid.to_string());
            json!({ "by": "ace", "ace": index, "sddl": sddl, "node": node, "allowed": allowed.0, "denied": denied.0 })
        }
    }
}
