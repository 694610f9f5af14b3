/// Media types by the ending of a file's name (IANA's registry, the endings in common use).
public enum ContentTypes {
    private static let byEnding: [String: String] = [
        "txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8", "md": "text/markdown; charset=utf-8",
        "csv": "text/csv; charset=utf-8", "tsv": "text/tab-separated-values; charset=utf-8",
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "py": "text/x-python; charset=utf-8",
        "swift": "text/x-swift; charset=utf-8", "diff": "text/x-diff; charset=utf-8",
        "patch": "text/x-diff; charset=utf-8", "xml": "application/xml", "json": "application/json",
        "jsonl": "application/jsonl", "ndjson": "application/x-ndjson", "yaml": "application/yaml",
        "yml": "application/yaml", "toml": "application/toml", "pdf": "application/pdf", "zip": "application/zip",
        "gz": "application/gzip", "tar": "application/x-tar", "png": "image/png", "jpg": "image/jpeg",
        "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml", "webp": "image/webp",
        "mp3": "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4", "parquet": "application/vnd.apache.parquet",
        "wasm": "application/wasm",
    ]

    /// The type of a file with this name; `application/octet-stream` where the ending says nothing.
    public static func of(_ name: String) -> String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "application/octet-stream" }
        return byEnding[name[name.index(after: dot)...].lowercased()] ?? "application/octet-stream"
    }
}
