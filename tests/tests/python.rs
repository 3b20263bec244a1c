//! A real Python: thousands of small files, shared libraries and the whole standard library.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry};

    #[test]
    fn python_imports_its_standard_library() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "python");
        let script = "import json, ssl, sqlite3, asyncio, http.client, multiprocessing, ctypes, decimal, sys\n\
                      asyncio.run(asyncio.sleep(0))\n\
                      print(json.dumps({'sum': sum(range(10)), 'pid': __import__('os').getpid()}))";
        let said = gaufre.ok(&["run", "--rm", "--network=none", &image, "python3", "-c", script]);
        assert_eq!(said, "{\"sum\": 45, \"pid\": 1}\n");
    }

    #[test]
    fn python_uses_shared_memory_and_processes() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "python");
        let script = "import multiprocessing as m\nwith m.Pool(2) as p: print(p.map(abs, [-1, -2, -3]))";
        let said = gaufre.ok(&["run", "--rm", "--network=none", &image, "python3", "-c", script]);
        assert_eq!(said, "[1, 2, 3]\n");
    }
}
