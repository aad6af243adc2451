//! The API's reference, `src/docs/api.md`, is made of the comments in the protos, and is checked in.
//!
//! `CHINWAG_WRITE=1 cargo test --test it reference` writes it anew. Without that, the test compares.

use std::{collections::BTreeMap, env, fs, path::Path};

use chinwag::wire::DESCRIPTORS;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, field_descriptor_proto::Type,
};

const PAGE: &str = "src/docs/api.md";

const INTRODUCTION: &str = "\
# The API

Every call, message and field of Chinwag's gRPC packages, as the comments in `proto/` explain them. This page is \
made of those comments by a test; change them there.

A client of users needs `chinwag.chat.v1` alone. Every call carries the session in the metadata `authorization: \
Bearer SESSION_TOKEN`, except `CreateAccount`, `Login` and `GetStatus`. Every answer's trailers carry \
`chinwag-epoch` and `chinwag-copies` (how many servers hold what is acknowledged). Also served are `grpc.health.v1` \
and reflection.

A call that changes something takes a `request_id`: a UUID that the caller draws and keeps until there is an \
answer. A repeat with the same id, on any server and after any fail-over, returns the first answer and changes \
nothing more.
";

/// The packages, those for users first.
const PACKAGES: &[&str] =
    &["chinwag.chat.v1", "chinwag.admin.v1", "chinwag.cluster.v1", "chinwag.log.v1"];

/// Where the fields of a descriptor stand in it; by these numbers a place in a file is named.
mod tag {
    pub(super) const MESSAGES: i32 = 4;
    pub(super) const ENUMS: i32 = 5;
    pub(super) const SERVICES: i32 = 6;
    pub(super) const SYNTAX: i32 = 12;
    pub(super) const FIELDS: i32 = 2;
    pub(super) const INNER_MESSAGES: i32 = 3;
    pub(super) const INNER_ENUMS: i32 = 4;
    pub(super) const ONEOFS: i32 = 8;
    pub(super) const METHODS: i32 = 2;
    pub(super) const VALUES: i32 = 2;
}

#[test]
fn the_reference_says_what_the_protos_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = page();
    if env::var_os("CHINWAG_WRITE").is_some() {
        fs::write(&path, &page).expect("writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differ = written.lines().zip(page.lines()).find(|(written, made)| written != made);
    assert!(
        written == page,
        "{PAGE} is not what the protos say (first: {differ:?}); write it anew by CHINWAG_WRITE=1 cargo \
         test --test it reference",
    );
}

#[test]
fn what_has_no_comment_is_told_by_its_name() {
    let file = FileDescriptorProto { name: Some("some.proto".into()), ..Default::default() };
    let comments = Comments::of(&file);
    let asked = std::panic::catch_unwind(|| comments.at(&[tag::MESSAGES, 0], "Nameless"));
    let words = asked.expect_err("there is none").downcast::<String>().expect("words");
    assert_eq!(*words, "some.proto: Nameless has no comment");
}

fn page() -> String {
    let all = FileDescriptorSet::decode(DESCRIPTORS).expect("our own descriptors");
    let of = |package: &'static str| all.file.iter().filter(move |file| file.package() == package);
    let mut page = INTRODUCTION.to_owned();
    page += "\n| package | service | calls |\n|---|---|---|\n";
    for file in PACKAGES.iter().flat_map(|package| of(package)) {
        for service in &file.service {
            let calls: Vec<String> =
                service.method.iter().map(|method| format!("`{}`", method.name())).collect();
            let (package, calls) = (file.package(), calls.join(", "));
            page += &format!("| `{package}` | `{}` | {calls} |\n", service.name());
        }
    }
    for package in PACKAGES {
        page += &format!("\n## Package `{package}`\n");
        of(package).for_each(|file| page += &Sheet::of(file).text());
    }
    let told = all.file.iter().filter(|file| PACKAGES.contains(&file.package())).count();
    let ours = all.file.iter().filter(|file| file.package().starts_with("chinwag.")).count();
    assert_eq!(told, ours, "every package is in the list");
    page
}

/// The comments of one file, by the place of what they stand before.
struct Comments {
    file: String,
    by_place: BTreeMap<Vec<i32>, String>,
}

impl Comments {
    fn of(file: &FileDescriptorProto) -> Comments {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        let by_place = places
            .filter(|place| !place.leading_comments().is_empty())
            .map(|place| (place.path.clone(), place.leading_comments().to_owned()))
            .collect();
        Comments { file: file.name().to_owned(), by_place }
    }

    /// The comment at a place, its paragraphs parted by an empty line.
    fn at(&self, place: &[i32], name: &str) -> String {
        let comment = self.by_place.get(place);
        let comment = comment.unwrap_or_else(|| panic!("{}: {name} has no comment", self.file));
        let lines: Vec<&str> = comment.lines().map(str::trim).collect();
        let paragraphs = lines.split(|line| line.is_empty()).map(|lines| lines.join(" "));
        paragraphs.filter(|words| !words.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// The same for a cell of a table.
    fn cell(&self, place: &[i32], name: &str) -> String {
        self.at(place, name).replace("\n\n", " ").replace('|', "\\|")
    }
}

/// What one file defines.
struct Sheet<'a> {
    file: &'a FileDescriptorProto,
    comments: Comments,
}

impl Sheet<'_> {
    fn of(file: &FileDescriptorProto) -> Sheet<'_> {
        Sheet { file, comments: Comments::of(file) }
    }

    fn text(&self) -> String {
        let name = self.file.name();
        let mut text = format!("\n*{name}.* {}\n", self.comments.at(&[tag::SYNTAX], name));
        // A call is told together with its request and answer; what several share follows.
        let mut told = Vec::new();
        for (service, at) in self.file.service.iter().zip(0..) {
            let place = [tag::SERVICES, at];
            let words = self.comments.at(&place, service.name());
            text += &format!("\n### Service `{}`\n\n{words}\n", service.name());
            for (method, at) in service.method.iter().zip(0..) {
                let place = [&place[..], &[tag::METHODS, at]].concat();
                text += &self.call(method, &place, &mut told);
            }
        }
        for (message, at) in self.file.message_type.iter().zip(0..) {
            if !told.contains(&message.name().to_owned()) {
                text += &format!("\n### `{}`\n\n", message.name());
                text += &self.message(message, &[tag::MESSAGES, at]);
            }
            text += &self.inner(message, &[tag::MESSAGES, at]);
        }
        for (kind, at) in self.file.enum_type.iter().zip(0..) {
            text += &self.enumeration(kind, &[tag::ENUMS, at]);
        }
        text
    }

    /// What a message defines inside of it.
    fn inner(&self, message: &DescriptorProto, place: &[i32]) -> String {
        let mut text = String::new();
        for (inner, at) in message.nested_type.iter().zip(0..) {
            let place = [place, &[tag::INNER_MESSAGES, at]].concat();
            text += &format!("\n### `{}`\n\n", inner.name());
            text += &self.message(inner, &place);
            text += &self.inner(inner, &place);
        }
        for (kind, at) in message.enum_type.iter().zip(0..) {
            text += &self.enumeration(kind, &[place, &[tag::INNER_ENUMS, at]].concat());
        }
        text
    }

    fn call(
        &self,
        method: &MethodDescriptorProto,
        place: &[i32],
        told: &mut Vec<String>,
    ) -> String {
        let (asked, answered) = (short(method.input_type()), short(method.output_type()));
        let stream = |streams| if streams { "stream of " } else { "" };
        let mut text = format!(
            "\n#### `{}`\n\n{}`{asked}` → {}`{answered}`\n\n{}\n",
            method.name(),
            stream(method.client_streaming()),
            stream(method.server_streaming()),
            self.comments.at(place, method.name()),
        );
        for name in [asked, answered] {
            let found = self.file.message_type.iter().zip(0..);
            let own = { found }.find(|(message, _)| message.name() == name);
            let (message, at) = own.unwrap_or_else(|| panic!("{name} stands beside its call"));
            if !told.contains(&name) {
                text += &format!("\n`{name}`: {}", self.message(message, &[tag::MESSAGES, at]));
                told.push(name);
            }
        }
        text
    }

    fn message(&self, message: &DescriptorProto, place: &[i32]) -> String {
        let mut text = format!("{}\n", self.comments.at(place, message.name()));
        if message.field.is_empty() {
            return text + "\nIt has no fields.\n";
        }
        text += "\n| field | type | what it is |\n|---|---|---|\n";
        let mut group = None;
        for (field, at) in message.field.iter().zip(0..) {
            let choice = field.oneof_index.filter(|_| !field.proto3_optional());
            if let Some(choice) = choice.filter(|choice| group != Some(*choice)) {
                let oneof = usize::try_from(choice).expect("small");
                let name = message.oneof_decl[oneof].name();
                let words = self.comments.cell(&[place, &[tag::ONEOFS, choice]].concat(), name);
                text += &format!("| `{name}`, one of: | | {words} |\n");
            }
            group = choice;
            let place = [place, &[tag::FIELDS, at]].concat();
            let words = self.comments.cell(&place, field.name());
            let inset = if choice.is_some() { "– " } else { "" };
            text += &format!("| {inset}`{}` | {} | {words} |\n", field.name(), kind(field));
        }
        text
    }

    fn enumeration(&self, kind: &EnumDescriptorProto, place: &[i32]) -> String {
        let name = kind.name();
        let mut text = format!("\n### `{name}`\n\n{}\n\n", self.comments.at(place, name));
        let reasons = name.ends_with("ErrorReason");
        text += match reasons {
            true => "| reason | status code | what it means |\n|---|---|---|\n",
            false => "| value | number | what it means |\n|---|---|---|\n",
        };
        for (value, at) in kind.value.iter().zip(0..) {
            let place = [place, &[tag::VALUES, at]].concat();
            let (name, words) = (value.name(), self.comments.cell(&place, value.name()));
            text += &match reasons {
                false => format!("| `{name}` | {} | {words} |\n", value.number()),
                true if value.number() == 0 => continue,
                true => {
                    let (_, reason) = name.split_once("REASON_").expect("as the enum is called");
                    let (code, words) = words.split_once(": ").expect("it begins with a code");
                    format!("| `{reason}` | `{code}` | {words} |\n")
                }
            };
        }
        text
    }
}

/// A field's type in words.
fn kind(field: &FieldDescriptorProto) -> String {
    let one = match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()),
        plain => plain.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    match (field.label(), field.proto3_optional()) {
        (prost_types::field_descriptor_proto::Label::Repeated, _) => format!("list of `{one}`"),
        (_, true) => format!("`{one}`, optional"),
        _ => format!("`{one}`"),
    }
}

/// A type's name without its package.
fn short(name: &str) -> String {
    name.rsplit('.').next().expect("there is a last part").to_owned()
}
