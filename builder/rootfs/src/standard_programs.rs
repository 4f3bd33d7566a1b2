//! The programs that are run once for each image in which they are installed, after all packages: ldconfig, depmod, systemd-hwdb and others.

use crate::programs::{Program, command};
use model::tree::FileTree;
use model::{Arch, ImagePath, ResultJudged};

/// What a program needs besides its data: the merged /usr links, the linker's files, the libraries and a shell.
/// Everything else in /usr/bin stays outside: container engines are big, and copying them would take longer than any of these programs.
fn programs(path: &ImagePath, names: &[&str]) -> bool {
    let text = path.as_bytes();
    let linker = !text[1..].contains(&b'/') || below(path, &["/etc/ld.so"]);
    let named = |folder: &str| {
        text.strip_prefix(folder.as_bytes()).is_some_and(|n| ["sh", "dash", "bash", "mkdir"].iter().chain(names).any(|w| w.as_bytes() == n))
    };
    linker || library(path) || named("/usr/bin/") || named("/usr/sbin/")
}

/// Shared objects where the linker looks for them, and systemd's own.
fn library(path: &ImagePath) -> bool {
    let inside = |folder: &str| {
        let rest = rest_below(path, folder)?;
        Some(!rest.contains(&b'/') && rest.windows(3).any(|w| w == b".so"))
    };
    ["/usr/lib/", "/usr/lib64/", "/usr/lib/{multiarch}/", "/usr/lib/{multiarch}/systemd/", "/usr/lib/systemd/", "/usr/lib64/systemd/"]
        .iter()
        .any(|folder| inside(folder) == Some(true))
}

fn below(path: &ImagePath, places: &[&str]) -> bool {
    places.iter().any(|place| rest_below(path, place).is_some())
}

/// In the paths of this file: the name of Debian's folder of libraries.
const MULTIARCH: &str = "{multiarch}";

/// What follows `place` in `path`.
fn rest_below<'a>(path: &'a ImagePath, place: &str) -> Option<&'a [u8]> {
    let text = path.as_bytes();
    match place.split_once(MULTIARCH) {
        None => text.strip_prefix(place.as_bytes()),
        Some((before, after)) => {
            text.strip_prefix(before.as_bytes())?.strip_prefix(Arch::TARGET.multiarch().as_bytes())?.strip_prefix(after.as_bytes())
        }
    }
}

fn with_multiarch(path: &str) -> String {
    path.replace(MULTIARCH, Arch::TARGET.multiarch())
}

/// The programs of every image, in the order in which they run. Those of a desktop's libraries are there if the tree has their programs and data.
pub fn standard(tree: &FileTree, kernel_version: Option<&str>) -> Vec<Program> {
    let mut list = vec![
        Program {
            name: "ldconfig",
            commands: vec![command(["ldconfig", "-X"])],
            needs: "/usr/sbin/ldconfig".into(),
            // The directories of ld.so.conf may be anywhere below /usr; what is not a shared object does not count.
            inputs: Box::new(|p| {
                below(p, &["/usr/"]) && p.name().is_some_and(|n| n.windows(3).any(|w| w == b".so")) || programs(p, &["ldconfig"])
            }),
            outputs: vec!["/etc/ld.so.cache".into()],
        },
        Program {
            name: "hwdb",
            commands: vec![command(["systemd-hwdb", "update", "--usr"])],
            needs: "/usr/bin/systemd-hwdb".into(),
            inputs: Box::new(|p| below(p, &["/usr/lib/udev/hwdb.d/", "/etc/udev/hwdb.d/"]) || programs(p, &["systemd-hwdb"])),
            outputs: vec!["/usr/lib/udev/hwdb.bin".into()],
        },
        Program {
            name: "catalog",
            commands: vec![command(["mkdir", "-p", "/var/lib/systemd/catalog"]), command(["journalctl", "--update-catalog"])],
            needs: "/usr/bin/journalctl".into(),
            inputs: Box::new(|p| below(p, &["/usr/lib/systemd/catalog/"]) || programs(p, &["journalctl"])),
            outputs: vec!["/var/lib/systemd/catalog/database".into()],
        },
        Program {
            name: "gschemas",
            commands: vec![command(["glib-compile-schemas", "/usr/share/glib-2.0/schemas"])],
            needs: "/usr/bin/glib-compile-schemas".into(),
            // Debian keeps the program beside the library and links to it.
            inputs: Box::new(|p| {
                below(p, &["/usr/share/glib-2.0/schemas/", "/usr/lib/{multiarch}/glib-2.0/"]) || programs(p, &["glib-compile-schemas"])
            }),
            outputs: vec!["/usr/share/glib-2.0/schemas/gschemas.compiled".into()],
        },
    ];
    if let Some(version) = kernel_version {
        let at = format!("/usr/lib/modules/{version}");
        list.push(Program {
            name: "depmod",
            commands: vec![command(["depmod", version])],
            needs: "/usr/sbin/depmod".into(),
            inputs: Box::new(|p| {
                below(p, &["/usr/lib/modules/", "/usr/lib/depmod.d/", "/etc/depmod.d/"]) || programs(p, &["depmod", "kmod"])
            }),
            outputs: [
                "alias",
                "alias.bin",
                "builtin.alias.bin",
                "builtin.bin",
                "dep",
                "dep.bin",
                "devname",
                "softdep",
                "symbols",
                "symbols.bin",
                "weakdep",
            ]
            .iter()
            .map(|end| format!("{at}/modules.{end}"))
            .collect(),
        });
    }
    list.extend(python(tree));
    list.extend(LISTINGS.iter().filter_map(|listing| listing.program(tree)));
    list
}

/// Compiles what is directly in each folder of its arguments, each file in a process of its own: what others have left in memory shows in byte code. A file
/// that does not compile (a template) gets none, and whoever imports it is told why. The byte code is not compared with the times of its source, of which
/// OSTree keeps none: both are read-only, and come with one commit.
const PYTHON_COMPILE: &str = "
import compileall, os, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
running = 0
def wait():
    if os.wait()[1]:
        sys.exit('a compiler crashed')
for folder in sys.argv[1:]:
    os.mkdir(os.path.join(folder, '__pycache__'))
    for name in sorted(os.listdir(folder)):
        if not name.endswith('.py'):
            continue
        if running == os.cpu_count():
            wait()
            running -= 1
        if os.fork() == 0:
            compileall.compile_file(os.path.join(folder, name), quiet=2, invalidation_mode=mode)
            os._exit(0)
        running += 1
for _ in range(running):
    wait()
";
/// Python reads its byte code from there, below the folder of the source.
const PYTHON_CACHE: &str = "__pycache__";

/// Byte code of Python's modules, which the host cannot keep, since /usr is read-only there: without it each start of a program compiles all that it imports.
/// The modules of packages and those of programs are two steps, so that a change of a program compiles that one alone. Packages that bring byte code keep it.
fn python(tree: &FileTree) -> Vec<Program> {
    let (mut libraries, mut others) = (Vec::new(), Vec::new());
    for entry in tree.walk() {
        if !below(&entry.path, &["/usr/"]) || !tree.inode(entry.id).is_directory() {
            continue;
        }
        let has = |test: &dyn Fn(&[u8]) -> bool| tree.children(entry.id).any(|(name, _)| test(name));
        if has(&|name| name == PYTHON_CACHE.as_bytes()) || !has(&|name| name.ends_with(b".py")) {
            continue;
        }
        match python_library(&entry.path) {
            true => libraries.push(entry.path.to_string()),
            // Elsewhere a package is meant to be imported; a file alone may be anything, a template or an example.
            false if has(&|name| name == b"__init__.py") => others.push(entry.path.to_string()),
            false => {}
        }
    }
    let steps = [("python-modules", libraries), ("python-programs", others)];
    steps.into_iter().filter(|(_, folders)| !folders.is_empty()).map(|(name, folders)| python_step(name, folders)).collect()
}

fn python_step(name: &'static str, folders: Vec<String>) -> Program {
    // The order of a set's members in byte code hangs on the seed of their hashes. Without -B Python itself would keep byte code of what the compiler imports,
    // with the times of the sources.
    let words = ["env", "PYTHONHASHSEED=0", "python3", "-B", "-s", "-W", "ignore", "-c", PYTHON_COMPILE];
    Program {
        name,
        commands: vec![command(words.into_iter().chain(folders.iter().map(String::as_str)))],
        needs: "/usr/bin/python3".into(),
        outputs: folders.iter().map(|folder| format!("{folder}/{PYTHON_CACHE}")).collect(),
        inputs: Box::new(move |p| {
            let is_directly_in = |folder: &String| p.parent().is_some_and(|parent| parent.as_bytes() == folder.as_bytes());
            python_library(p) || below(p, &["/usr/bin/python3"]) || programs(p, &["env"]) || folders.iter().any(is_directly_in)
        }),
    }
}

/// The interpreter's own modules and those of packages.
fn python_library(path: &ImagePath) -> bool {
    below(path, &["/usr/lib/python3", "/usr/lib64/python3"])
}

/// A file that lists what is in a directory, written by a library's own program.
struct Listing {
    name: &'static str,
    /// Where distributions have the program.
    programs: &'static [&'static str],
    arguments: &'static [&'static str],
    /// Where they have the data.
    folders: &'static [&'static str],
    inputs: fn(&ImagePath) -> bool,
    /// Below the folder; empty: all of it.
    output: &'static str,
}

const LISTINGS: [Listing; 4] = [
    Listing {
        name: "giomodules",
        programs: &["/usr/bin/gio-querymodules-64", "/usr/bin/gio-querymodules", "/usr/lib/{multiarch}/glib-2.0/gio-querymodules"],
        arguments: &[],
        folders: &["/usr/lib64/gio/modules", "/usr/lib/{multiarch}/gio/modules"],
        inputs: |p| {
            let data = ["/usr/lib64/gio/modules/", "/usr/lib/{multiarch}/gio/modules/", "/usr/lib/{multiarch}/glib-2.0/"];
            below(p, &data) || programs(p, &["gio-querymodules-64", "gio-querymodules"])
        },
        output: "giomodule.cache",
    },
    Listing {
        name: "mime",
        programs: &["/usr/bin/update-mime-database"],
        arguments: &[],
        folders: &["/usr/share/mime"],
        inputs: |p| below(p, &["/usr/share/mime/packages/"]) || programs(p, &["update-mime-database"]),
        output: "",
    },
    Listing {
        name: "icons",
        programs: &["/usr/bin/gtk-update-icon-cache", "/usr/bin/gtk4-update-icon-cache"],
        arguments: &["--force", "--quiet"],
        folders: &["/usr/share/icons/hicolor"],
        inputs: |p| below(p, &["/usr/share/icons/hicolor/"]) || programs(p, &["gtk-update-icon-cache", "gtk4-update-icon-cache"]),
        output: "icon-theme.cache",
    },
    Listing {
        name: "desktop",
        programs: &["/usr/bin/update-desktop-database"],
        arguments: &["--quiet"],
        folders: &["/usr/share/applications"],
        inputs: |p| below(p, &["/usr/share/applications/"]) || programs(p, &["update-desktop-database"]),
        output: "mimeinfo.cache",
    },
];

impl Listing {
    fn program(&self, tree: &FileTree) -> Option<Program> {
        let program = self.programs.iter().map(|program| with_multiarch(program)).find(|program| tree.at(program).is_some())?;
        // An empty folder is not worth a listing, and some of these programs write none for it.
        let files = |folder: &String| {
            let id = ImagePath::parse(folder).none_because("a table of absolute paths").and_then(|path| tree.get(&path));
            id.is_some_and(|id| tree.children(id).len() > 0)
        };
        let folder = self.folders.iter().map(|folder| with_multiarch(folder)).find(files)?;
        let output = if self.output.is_empty() { folder.clone() } else { format!("{folder}/{}", self.output) };
        let words = std::iter::once(program.as_str()).chain(self.arguments.iter().copied()).chain([folder.as_str()]);
        Some(Program {
            name: self.name,
            commands: vec![command(words)],
            needs: program,
            inputs: Box::new(self.inputs),
            outputs: vec![output],
        })
    }
}

/// What building an SELinux policy reads: the modules, the store, the programs that expand them, and the accounts whose homes get labels. No
/// `selinuxenabled`: the answer of the machine that builds must not count.
pub(super) fn selinux_inputs(path: &ImagePath) -> bool {
    let data = ["/etc/selinux/", "/usr/share/selinux/", "/usr/libexec/selinux/", "/usr/lib/selinux/", "/var/lib/selinux/"];
    let accounts = ["/etc/passwd", "/etc/group", "/etc/shells", "/etc/login.defs", "/etc/nsswitch.conf"];
    below(path, &data)
        || accounts.iter().any(|file| file.as_bytes() == path.as_bytes())
        || programs(path, &["semodule", "setfiles", "sefcontext_compile", "cat", "cut", "grep", "sed", "bzip2"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::tree::{Attributes, Edit, Inode};

    #[test]
    fn byte_code_is_made_where_python_imports_from_and_where_no_package_brought_it() {
        let mut tree = FileTree::new();
        for path in [
            "/usr/bin/python3",
            "/usr/lib/python3.13/json/__init__.py",
            "/usr/lib/python3.13/os.py",
            "/usr/lib/python3/dist-packages/one.py",
            "/usr/lib64/python3.13/site-packages/shipped/__init__.py",
            "/usr/lib64/python3.13/site-packages/shipped/__pycache__/__init__.cpython-313.pyc",
            "/usr/libexec/own/tool/__init__.py",
            "/usr/libexec/own/tool/README",
            "/usr/share/doc/examples/sketch.py",
            "/opt/other/__init__.py",
        ] {
            tree.insert(&ImagePath::parse(path).unwrap(), Inode::file("x".as_bytes(), Attributes::root(0o644)), Edit::Create).unwrap();
        }
        let made = python(&tree);
        let outputs: Vec<(&str, Vec<&str>)> =
            made.iter().map(|program| (program.name, program.outputs.iter().map(String::as_str).collect())).collect();
        let modules =
            ["/usr/lib/python3/dist-packages/__pycache__", "/usr/lib/python3.13/__pycache__", "/usr/lib/python3.13/json/__pycache__"];
        assert_eq!(outputs, [("python-modules", modules.to_vec()), ("python-programs", vec!["/usr/libexec/own/tool/__pycache__"])]);
        // A change of a program does not compile the packages' modules again.
        let own = ImagePath::parse("/usr/libexec/own/tool/__init__.py").unwrap();
        assert_eq!(made.iter().map(|program| (program.inputs)(&own)).collect::<Vec<_>>(), [false, true]);
    }
}
