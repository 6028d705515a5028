//! The report for browsers: one file, nothing fetched from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use admin::operations::HolderRow;

use super::shown::short;

/// Rows that a browser still handles well; what is beyond is counted.
const MAX_ROWS: usize = 50_000;

/// The report on all rows.
pub fn report(rows: &[HolderRow], time: &str) -> String {
    let mut by: BTreeMap<(&str, &str), Vec<&HolderRow>> = BTreeMap::new();
    for row in rows.iter().take(MAX_ROWS) {
        by.entry((&row.target, &row.target_dn)).or_default().push(row);
    }
    let count = |right: &str| rows.iter().filter(|row| row.right == right && row.effective && !row.deny).count();
    let mut text = String::with_capacity(rows.len() * 400 + 8192);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Mailbox permissions</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>Mailbox permissions</h1><p class=\"when\">{}</p></header>\n<section class=\"cards\">\n",
        escaped(time)
    );
    let cards = [
        ("Send As", count("send-as")),
        ("Send on Behalf", count("send-on-behalf")),
        ("Full Mailbox Access", count("full-access")),
        ("Denials", rows.iter().filter(|row| row.deny).count()),
        ("Mailboxes and addresses", by.len()),
    ];
    for (label, count) in cards {
        let _ = writeln!(text, "<div class=\"card\"><b>{count}</b><span>{label}</span></div>");
    }
    text += "</section>\n<input id=\"filter\" type=\"search\" placeholder=\"Filter by name, address, right…\" aria-label=\"Filter\">\n";
    if rows.len() > MAX_ROWS {
        let _ = writeln!(
            text,
            "<p class=\"note\">The first {MAX_ROWS} of {} rows. `procura audit export --format csv` writes all.</p>",
            rows.len()
        );
    }
    for ((target, dn), rows) in &by {
        let title = if *target == "*" { "Everybody" } else { target };
        let shown = if *target == "*" || dn == target { "" } else { dn };
        let protected =
            if rows.iter().any(|row| row.protected) { " <em class=\"badge\">AdminSDHolder</em>" } else { "" };
        let _ = write!(
            text,
            "<article>\n<h2>{}{protected}</h2>\n<p class=\"dn\">{}</p>\n<div class=\"scroll\"><table>\n<thead><tr>\
             <th>Who</th><th>Right</th><th>Outcome</th><th>Via</th><th>From</th><th>Entry</th></tr></thead>\n<tbody>\n",
            escaped(title),
            escaped(shown)
        );
        rows.iter().for_each(|row| self::row(&mut text, row));
        text += "</tbody></table></div>\n</article>\n";
    }
    let _ = writeln!(text, "<script>{SCRIPT}</script>\n</body>\n</html>");
    text
}

fn row(text: &mut String, row: &HolderRow) {
    let right = match row.right.as_str() {
        "send-as" => "Send As",
        "send-on-behalf" => "Send on Behalf",
        "full-access" => "Full Mailbox Access",
        other => other,
    };
    let (class, verdict) = match (row.deny, row.effective) {
        (true, _) => ("deny", "denied"),
        (false, true) => ("allow", "allowed"),
        (false, false) => ("idle", "no effect"),
    };
    let origin = row.inherited_from.as_deref().unwrap_or_default();
    let mut from = short(origin).to_owned();
    if row.path.len() > 1 {
        from = format!("{} {from}", row.path.join(" › "));
    }
    let mut via = row.via.clone();
    if row.needs_logon {
        via += ", logged on to the mailbox";
    }
    let _ = writeln!(
        text,
        "<tr class=\"{class}\"><td title=\"{}\">{}</td><td>{}</td><td><i>{verdict}</i></td><td>{}</td><td title=\"{}\">{}</td>\
         <td><code>{}</code></td></tr>",
        escaped(&row.trustee_sid),
        escaped(&row.trustee),
        escaped(right),
        escaped(&via),
        escaped(origin),
        escaped(&from),
        escaped(row.ace.as_deref().unwrap_or_default())
    );
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#dfe3e8;--ink:#1c2530;--soft:#5d6b7a;--good:#176b3a;--bad:#a3211a;--mark:#8a5a00}
@media (prefers-color-scheme:dark){:root{--bg:#14181d;--card:#1d232a;--line:#323b45;--ink:#e6ebf0;--soft:#98a5b3;--good:#6fd096;--bad:#ff9088;--mark:#e8b654}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
header{display:flex;align-items:baseline;justify-content:space-between;gap:1rem;flex-wrap:wrap}
h1{font-size:1.5rem;margin:0}
.when,.dn,.note{color:var(--soft);margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem;margin:1rem 0}
.card,article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.9rem 1rem}
.card b{display:block;font-size:1.5rem}
.card span{color:var(--soft)}
input{width:100%;padding:.6rem .8rem;margin-bottom:1rem;border:1px solid var(--line);border-radius:8px;background:var(--card);color:inherit;font:inherit}
article{margin-bottom:.9rem}
h2{font-size:1.05rem;margin:0}
.badge{font:600 .72rem/1 system-ui,sans-serif;color:var(--mark);border:1px solid currentColor;border-radius:99px;padding:.15rem .5rem;vertical-align:middle}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin-top:.5rem}
th{text-align:left;font-weight:600;color:var(--soft);font-size:.82rem}
th,td{padding:.32rem .7rem .32rem 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td i{font-style:normal;font-weight:600}
.allow i{color:var(--good)}
.deny i{color:var(--bad)}
.idle{color:var(--soft)}
td:nth-child(-n+4),code{white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
code{font-size:.78rem;color:var(--soft)}
@media print{body{max-width:none;background:#fff}input{display:none}article{break-inside:avoid}}
";

const SCRIPT: &str = "
const field=document.getElementById('filter');
field.addEventListener('input',()=>{const words=field.value.toLowerCase().split(/\\s+/).filter(Boolean);
for(const article of document.querySelectorAll('article')){const head=article.querySelector('h2').textContent.toLowerCase()+' '+article.querySelector('.dn').textContent.toLowerCase();let any=false;
for(const row of article.querySelectorAll('tbody tr')){const text=head+' '+row.textContent.toLowerCase();const hit=words.every(word=>text.includes(word));row.hidden=!hit;any=any||hit}
article.hidden=!any}});
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_report() {
        let row = HolderRow {
            trustee: "<script>alert(1)</script>".into(),
            target: "\"&'".into(),
            right: "send-as".into(),
            ..HolderRow::default()
        };
        let text = report(&[row], "2026");
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
        assert!(text.contains("&quot;&amp;&#39;"), "{text}");
    }
}
