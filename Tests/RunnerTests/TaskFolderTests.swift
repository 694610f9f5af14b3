import Foundation
import Kernel
import Testing

@testable import Runner

@Suite struct TaskFolderTests {
    private let claim = Claim(["task": ["id": "task_1", "title": "T"], "fence": 4, "attempt": 2])

    private func folder(_ scratch: ScratchFolder) throws -> TaskFolder {
        try TaskFolder.make(try #require(claim), in: scratch.path, world: .live)
    }

    private func write(_ folder: TaskFolder, _ name: String, _ text: String) throws {
        let url = URL(fileURLWithPath: folder.outputPath + "/" + name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    @Test func theTaskIsAFileAndTheOutputIsEmpty() throws {
        let scratch = try ScratchFolder()
        let folder = try folder(scratch)
        let task = try JSONParser.parse(String(contentsOfFile: folder.taskFile, encoding: .utf8))
        #expect(task["id"]?.string == "task_1")
        #expect(try folder.deliverables().isEmpty)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.path)[.posixPermissions] as? Int
        #expect(mode == 0o700)
        folder.remove()
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }

    @Test func pathsBecomeNamesAndCollisionsNumbers() throws {
        let scratch = try ScratchFolder()
        let folder = try folder(scratch)
        for name in ["report.md", "a/b.json", "a-b.json", ".hidden", "x\\y.txt"] { try write(folder, name, name) }
        let files = try folder.deliverables()
        #expect(files.map(\.name).sorted() == ["_hidden", "a-b-2.json", "a-b.json", "report.md", "x-y.txt"])
        #expect(files.first { $0.name == "report.md" }?.contentType == "text/markdown; charset=utf-8")
        #expect(files.first { $0.name == "a-b-2.json" }?.contentType == "application/json")
        #expect(TaskFolder.flat(String(repeating: "x", count: 300) + ".json", max: 200).hasSuffix(".json"))
        #expect(TaskFolder.flat(String(repeating: "x", count: 300) + ".json", max: 200).count == 200)
    }

    @Test func linksWithinAreFollowedAndLinksOutAreRefused() throws {
        let scratch = try ScratchFolder()
        let folder = try folder(scratch)
        let manager = FileManager.default
        try write(folder, "real.txt", "inside")
        try manager.createSymbolicLink(atPath: folder.outputPath + "/link.txt", withDestinationPath: "real.txt")
        #expect(try folder.deliverables().map(\.content) == [Array("inside".utf8), Array("inside".utf8)])
        for target in ["/etc/passwd", "../task.json", "/etc", "../../nowhere"] {
            let path = folder.outputPath + "/out"
            try manager.createSymbolicLink(atPath: path, withDestinationPath: target)
            #expect(throws: OutputRefusal.self, "\(target)") { try folder.deliverables() }
            try manager.removeItem(atPath: path)
        }
    }

    @Test func pipesAndTooMuchAreRefused() throws {
        let scratch = try ScratchFolder()
        let folder = try folder(scratch)
        #expect(mkfifo(folder.outputPath + "/pipe", 0o600) == 0)
        #expect(throws: OutputRefusal.self) { try folder.deliverables() }
        unlink(folder.outputPath + "/pipe")
        for index in 0..<5 { try write(folder, "\(index).txt", "12345") }
        var limits = DeliverableLimits()
        #expect(try folder.deliverables(limits).count == 5)
        limits.files = 4
        #expect(throws: OutputRefusal.self) { try folder.deliverables(limits) }
        limits = DeliverableLimits()
        limits.fileBytes = 4
        #expect(throws: OutputRefusal.self) { try folder.deliverables(limits) }
        limits = DeliverableLimits()
        limits.totalBytes = 24
        #expect(throws: OutputRefusal.self) { try folder.deliverables(limits) }
    }

    @Test(arguments: [
        ("", nil as String?, nil as JSONValue?), (" \n", nil, nil), ("plain words\n", "output.txt", nil),
        ("{\"a\":1}\n", "output.json", ["a": 1] as JSONValue), ("{\"a\":1} trailing", "output.txt", nil),
        ("[1,2]", "output.json", [1, 2] as JSONValue),
    ])
    func standardOutputIsTextOrJSON(text: String, name: String?, output: JSONValue?) {
        let written = StandardOutput(Array(text.utf8))
        #expect(written.file?.name == name && written.output == output)
        #expect(written.file.map(\.content) == name.map { _ in Array(text.utf8) })
    }

    @Test func formsCarryBytesAsTheyAre() throws {
        let claim = try #require(claim)
        let file = DeliverableFile(name: "a\".bin", contentType: "application/octet-stream", content: [0, 255, 13, 10])
        let form = MultipartForm(claim: claim, file: file, boundary: "xyz")
        let text = String(decoding: form.body, as: UTF8.self)
        #expect(form.contentType == "multipart/form-data; boundary=reeve-xyz")
        #expect(text.contains("name=\"fence\"\r\n\r\n4\r\n") && text.contains("filename=\"a_.bin\""))
        #expect(text.hasSuffix("\r\n--reeve-xyz--\r\n"))
        #expect(form.body.firstIndex(of: 0) != nil)
    }
}
