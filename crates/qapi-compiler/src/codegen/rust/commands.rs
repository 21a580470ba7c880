//! Commands: the handlers' traits, marshalling, registration.

use super::context::Context;
use super::docs;
use super::names;
use super::objects::{local, named_members, read};
use super::out::{Field, Out};
use super::types::attribute;
use crate::schema::model::{CommandDef, Entity, EntityId, EntityKind, Member, ModuleItem};

/// Emits the trait and the marshalling for the commands of one schema file.
pub(super) fn emit_module(cx: &Context, out: &mut Out, module: &str, entities: &[EntityId]) {
    let commands = commands(cx, entities);
    if commands.is_empty() {
        return;
    }
    let name = trait_name(cx, module);
    out.blank();
    let text = format!("Handlers of the commands in `{module}`.");
    docs::emit_plain(out, &text);
    let sized = cx.std("Sized");
    out.begin(&format!("pub trait {name}: {sized} + 'static {{"));
    for command in &commands {
        emit_handler(cx, out, command);
    }
    out.end("}");
    for command in &commands {
        emit_marshal(cx, out, &name, command);
    }
}

pub(super) struct Command<'s> {
    pub(super) entity: &'s Entity,
    pub(super) def: &'s CommandDef,
    /// The command's name in Rust's style, without keyword escape.
    ident: String,
    /// Parameters: how each is read, and its type.
    pub(super) params: Vec<Param>,
    /// Whether the parameters are few scalars, which can be read without a dictionary.
    plain: bool,
}

pub(super) struct Param {
    pub(super) ident: String,
    pub(super) rust: String,
    /// How to read it; empty for arguments that are taken whole.
    read: String,
    /// How it is passed to the handler.
    passed: String,
}

/// A request with more arguments is not read in the plain way.
const MOST_PLAIN: usize = 4;

/// How much of a line their names may take.
const PLAIN_WIDTH: usize = 50;

pub(super) fn commands<'s>(cx: &Context<'s>, entities: &[EntityId]) -> Vec<Command<'s>> {
    let mut commands = Vec::new();
    for id in entities {
        let entity = cx.schema.entity(*id);
        if let EntityKind::Command(def) = &entity.kind {
            let borrows = cx.options.borrowing.contains(&entity.name);
            let params = params(cx, def, borrows);
            commands.push(Command {
                entity,
                def,
                ident: names::snake_plain(&entity.name),
                plain: is_plain(cx, def, &params),
                params,
            });
        }
    }
    commands
}

/// Whether the arguments are few, and scalars that have no condition.
fn is_plain(cx: &Context, def: &CommandDef, params: &[Param]) -> bool {
    let Some(args) = def.args.filter(|_| !def.boxed && !params.is_empty()) else {
        return false;
    };
    let is_scalar = |member: &Member| {
        let entity = cx.schema.entity(member.typ);
        matches!(entity.kind, EntityKind::Builtin)
            && !matches!(&*entity.name, "any" | "null")
            && cx.special(&member.features).is_none()
    };
    let names: usize = params.iter().map(|param| param.ident.len() + 2).sum();
    let members = named_members(cx, args);
    params.len() <= MOST_PLAIN
        && names <= PLAIN_WIDTH
        && members.iter().all(|(member, _)| is_scalar(member))
}

fn params(cx: &Context, def: &CommandDef, borrows: bool) -> Vec<Param> {
    let Some(args) = def.args.filter(|args| !cx.is_empty(*args)) else {
        return Vec::new();
    };
    if !def.generated {
        return Vec::new();
    }
    if def.boxed {
        return vec![Param {
            ident: "arg".into(),
            rust: cx.rust_type(args),
            read: "v.branch()?".into(),
            passed: "arg".into(),
        }];
    }
    let members = named_members(cx, args);
    let param = |(member, ident): &(&Member, String)| {
        let ident = local(ident);
        let is_text = cx.schema.entity(member.typ).name == "str";
        if borrows && is_text && cx.special(&member.features).is_none() {
            return borrowed(cx, member, ident);
        }
        Param {
            passed: ident.clone(),
            ident,
            rust: cx.optional(member.optional, cx.rust_type(member.typ)),
            read: read(cx, member),
        }
    };
    members.iter().map(param).collect()
}

/// A text that the handler borrows.
fn borrowed(cx: &Context, member: &Member, ident: String) -> Param {
    let (method, passed) = if member.optional {
        ("optional_text", format!("{ident}.as_deref()"))
    } else {
        ("text", format!("&{ident}"))
    };
    Param {
        ident,
        rust: cx.optional(member.optional, "&str".into()),
        read: format!("v.{method}(\"{}\")?", member.name),
        passed,
    }
}

impl Command<'_> {
    /// The handler's return type, without the error.
    fn returns(&self, cx: &Context) -> String {
        match self.def.ret {
            None => "()".into(),
            Some(_) if !self.def.generated => "qapi::QObject".into(),
            Some(ret) => cx.rust_type(ret),
        }
    }

    /// The names of the handler's arguments.
    fn args(&self) -> Vec<&str> {
        self.params.iter().map(|p| p.ident.as_str()).collect()
    }
}

fn emit_handler(cx: &Context, out: &mut Out, command: &Command) {
    let entity = command.entity;
    let context = format!("rt: &mut {}<Self>", cx.options.context);
    let mut params = vec![context];
    if command.def.generated {
        let named = command.params.iter();
        params.extend(named.map(|p| format!("{}: {}", p.ident, p.rust)));
    } else {
        params.push("call: &mut qapi::Call<'_>".into());
    }
    let returns = command.returns(cx);
    let after = if command.def.coroutine {
        params.push(format!("responder: qapi::Responder<{returns}>"));
        ");".to_owned()
    } else if command.def.generated {
        format!(") -> {};", cx.result(&returns))
    } else {
        // It writes its return value itself.
        format!(") -> {};", cx.result("()"))
    };
    out.blank();
    docs::emit_function(cx, out, entity, &format!("`{}`", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    if cx.deprecated(&entity.features) {
        out.line("#[deprecated]");
    }
    let params: Vec<&str> = params.iter().map(String::as_str).collect();
    out.signature(&format!("fn qmp_{}(", command.ident), &params, &after);
}

fn emit_marshal(cx: &Context, out: &mut Out, trait_name: &str, command: &Command) {
    let entity = command.entity;
    out.blank();
    docs::emit_plain(out, &format!("Marshals `{}`.", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    let context = format!("rt: &mut {}<S>", cx.options.context);
    let mut params = vec![context.as_str(), "call: &mut qapi::Call<'_>"];
    let mut after = format!(") -> {} {{", cx.result("()"));
    if command.def.coroutine {
        params.push("responder: qapi::RawResponder");
        after = ") {".to_owned();
    }
    let before = format!("pub fn qmp_marshal_{}<S: {trait_name}>(", command.ident);
    out.signature(&before, &params, &after);
    out.indent();
    if !command.def.generated {
        emit_raw(out, command);
    } else if command.def.coroutine {
        emit_deferred(cx, out, command);
    } else {
        emit_immediate(cx, out, command);
    }
    out.end("}");
}

/// The statements that bind the parameters.
fn emit_reads(out: &mut Out, command: &Command) {
    if command.params.is_empty() {
        return out.line("call.no_args()?;");
    }
    if !command.plain {
        return emit_visits(out, command);
    }
    let idents = command.args().join(", ");
    let all = match command.params.len() {
        1 => idents,
        _ => format!("({idents})"),
    };
    out.begin("let plain = call.plain_args(|v| {");
    for param in &command.params {
        // A size is a number here.
        let read = param.read.replace("v.size(", "v.member(");
        out.binding(&param.ident, &read);
    }
    out.line(&format!("Some({all})"));
    out.end("});");
    out.begin(&format!("let {all} = match plain {{"));
    out.line("Some(args) => args,");
    out.begin("None => {");
    emit_visits(out, command);
    out.line(&all);
    out.end("}");
    out.end("};");
}

/// The statements that bind the parameters by visiting any arguments.
fn emit_visits(out: &mut Out, command: &Command) {
    out.line("let mut v = call.start_args()?;");
    for param in &command.params {
        out.binding(&param.ident, &param.read);
    }
    out.line("v.end_struct()?;");
}

fn emit_immediate(_cx: &Context, out: &mut Out, command: &Command) {
    emit_reads(out, command);
    let mut args = vec!["rt"];
    args.extend(command.params.iter().map(|param| param.passed.as_str()));
    let returns = command.def.ret.is_some() && command.def.success_response;
    let binding = if returns { "let ret = " } else { "" };
    emit_enter(out, command);
    let before = format!("{binding}S::qmp_{}(", command.ident);
    out.call(&before, &args, ")?;");
    match (returns, command.def.success_response) {
        (true, _) => out.line("call.ret(&ret);"),
        (false, true) => out.line("call.ret(&());"),
        (false, false) => {}
    }
    out.line("Ok(())");
}

/// The call by which a trace learns that the handler is called.
fn emit_enter(out: &mut Out, command: &Command) {
    out.line(&format!("call.enter(\"qmp_{}\");", command.ident));
}

/// The body for a handler that reads its arguments itself.
fn emit_raw(out: &mut Out, command: &Command) {
    emit_enter(out, command);
    let before = format!("S::qmp_{}(", command.ident);
    if command.def.coroutine {
        out.line("let responder = qapi::Responder::new(responder, call.policy());");
        out.call(&before, &["rt", "call", "responder"], ");");
    } else {
        out.call(&before, &["rt", "call"], ")");
    }
}

fn emit_deferred(cx: &Context, out: &mut Out, command: &Command) {
    let args = command.args();
    let tuple = match args.as_slice() {
        [one] => format!("({one},)"),
        _ => format!("({})", args.join(", ")),
    };
    let result = cx.result("_");
    out.begin(&format!(
        "let read = |call: &mut qapi::Call<'_>| -> {result} {{"
    ));
    emit_reads(out, command);
    out.line(&format!("Ok({tuple})"));
    out.end("};");
    out.begin("match read(call) {");
    out.begin(&format!("Ok({tuple}) => {{"));
    emit_enter(out, command);
    out.line("let responder = qapi::Responder::new(responder, call.policy());");
    let mut params = vec!["rt"];
    params.extend(args);
    params.push("responder");
    let before = format!("S::qmp_{}(", command.ident);
    out.call(&before, &params, ");");
    out.end("}");
    out.line("Err(e) => responder.respond(Err(e)),");
    out.end("}");
}

fn trait_name(cx: &Context, module: &str) -> String {
    let schema = cx.schema;
    let plain = |name: &str| cx.free_name(names::trait_name(name));
    let name = plain(module);
    // Files of the same name in several directories: number the later ones.
    let before = schema.modules.iter().take_while(|m| m.name != module);
    match before.filter(|m| plain(&m.name) == name).count() {
        0 => name,
        n => format!("{name}{}", n + 1),
    }
}

/// Emits the trait of all handlers, and the registration of all commands.
pub(super) fn emit_registration(cx: &Context, out: &mut Out) {
    let mut traits = Vec::new();
    let mut all = Vec::new();
    for module in &cx.schema.modules {
        let ids: Vec<EntityId> = module
            .items
            .iter()
            .filter_map(|item| match item {
                ModuleItem::Entity(id) => Some(*id),
                ModuleItem::Include(_) => None,
            })
            .filter(|id| cx.holds(&cx.schema.entity(*id).ifcond))
            .collect();
        let commands = commands(cx, &ids);
        if !commands.is_empty() {
            traits.push(trait_name(cx, &module.name));
            all.extend(commands);
        }
    }
    let umbrella = cx.free_name("Commands".into());
    out.blank();
    docs::emit_plain(out, "Handlers of all commands.");
    match traits.as_slice() {
        [] => {
            out.line(&format!("pub trait {umbrella}: 'static {{}}"));
            out.blank();
            out.line(&format!("impl<S: 'static> {umbrella} for S {{}}"));
        }
        [one] => {
            out.line(&format!("pub trait {umbrella}: {one} {{}}"));
            out.blank();
            out.line(&format!("impl<S: {one}> {umbrella} for S {{}}"));
        }
        _ => {
            out.line(&format!("pub trait {umbrella}"));
            emit_where(out, "Self", &traits);
            out.blank();
            out.line(&format!("impl<S> {umbrella} for S"));
            emit_where(out, "S", &traits);
        }
    }

    out.blank();
    docs::emit_plain(out, "Registers all commands.");
    let context = &cx.options.context;
    let list = format!("cmds: &mut qapi::QmpCommandList<{context}<S>>");
    let before = format!("pub fn qmp_init_marshal<S: {umbrella}>(");
    out.signature(&before, &[&list], ") {");
    out.indent();
    out.line(&format!("cmds.reserve({});", all.len()));
    for command in &all {
        emit_register(cx, out, command);
    }
    out.end("}");
}

fn emit_where(out: &mut Out, subject: &str, traits: &[String]) {
    out.begin("where");
    for name in traits {
        out.line(&format!("{subject}: {name},"));
    }
    out.end("{");
    out.line("}");
}

fn emit_register(cx: &Context, out: &mut Out, command: &Command) {
    attribute(out, cx.cfg(&command.entity.ifcond));
    out.begin("cmds.register(qapi::QmpCommand {");
    out.line(&format!("name: \"{}\",", command.entity.name));
    let def = command.def;
    let options = [
        ("no_success_response", !def.success_response),
        ("allow_oob", def.allow_oob),
        ("allow_preconfig", def.allow_preconfig),
        ("coroutine", def.coroutine),
    ];
    let mut fields: Vec<Field> = options
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| Field {
            cfg: None,
            name: name.into(),
            value: "true".into(),
        })
        .collect();
    if fields.is_empty() {
        out.line("options: qapi::QmpCommandOptions::NONE,");
    } else {
        fields.push(Field {
            cfg: None,
            name: "..qapi::QmpCommandOptions::NONE".into(),
            value: String::new(),
        });
        out.base_literal("options: qapi::QmpCommandOptions", &fields);
    }
    let features = cx.special(&command.entity.features).unwrap_or("NONE");
    out.line(&format!("features: qapi::SpecialFeatures::{features},"));
    let kind = if def.coroutine {
        "Deferred"
    } else {
        "Immediate"
    };
    let func = format!("qmp_marshal_{}::<S>", command.ident);
    let before = format!("func: qapi::QmpCommandFunc::{kind}(");
    out.call(&before, &[&func], "),");
    out.end("});");
}
