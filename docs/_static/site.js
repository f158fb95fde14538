// A picture opens by itself at a touch, at its full size: a phone shows it small.
document.addEventListener("DOMContentLoaded", () => {
    for (const picture of document.querySelectorAll(".bd-article img")) {
        const link = document.createElement("a");
        link.href = picture.src;
        picture.replaceWith(link);
        link.append(picture);
    }
});
