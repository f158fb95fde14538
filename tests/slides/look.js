// Look at every slide of the deck and say what is wrong with it: a list of lists of words.
(limits) => {
  document.head.querySelector('#look') ??
    document.head.insertAdjacentHTML(
      'beforeend',
      `<style id="look">
        svg.bespoke-marp-slide { content-visibility: visible !important; opacity: 1 !important; }
        [data-bespoke-marp-fragment] { visibility: visible !important; }
        .bespoke-marp-osc { display: none !important; }
      </style>`,
    )

  const colour = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number)
    return { rgb: [r, g, b], a }
  }
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const { rgb, a } = colour(getComputedStyle(e).backgroundColor)
      if (a > 0.99) return rgb
    }
    return [255, 255, 255]
  }
  const contrast = (element) => {
    const [dark, light] = [
      luminance(colour(getComputedStyle(element).color).rgb),
      luminance(ground(element)),
    ].sort((a, b) => a - b)
    return (light + 0.05) / (dark + 0.05)
  }

  const look = (section) => {
    const wrong = []
    const frame = section.getBoundingClientRect()
    const scale = frame.width / 1280
    const footer = section.querySelector('footer')?.getBoundingClientRect()
    const floor = footer?.height ? footer.top : frame.bottom - 10 * scale

    if (section.scrollHeight > section.clientHeight) wrong.push('too long')
    if (section.scrollWidth > section.clientWidth) wrong.push('too wide')

    const inside = (box, what, words) => {
      if (!box.width || !box.height) return
      if (box.right > frame.right - 20 * scale || box.left < frame.left + 20 * scale) wrong.push(`${what} too wide: ${words}`)
      if (box.bottom > floor + 1) wrong.push(`${what} behind the footer: ${words}`)
      if (box.bottom > frame.bottom || box.top < frame.top) wrong.push(`${what} too long: ${words}`)
    }

    const walker = document.createTreeWalker(section, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const words = node.textContent.trim()
      const parent = node.parentElement
      if (!words || parent.closest('mjx-container, svg svg, style')) continue
      const range = document.createRange()
      range.selectNodeContents(node)
      if (!range.getBoundingClientRect().width) continue // not shown
      const style = getComputedStyle(parent)
      const small = parent.closest('footer, .place')  // a panel has the type of its window
      if (!small) inside(range.getBoundingClientRect(), 'words', words)
      const least = parent.closest('.place') ? limits.panel : small ? limits.footer : limits.words
      if (parseFloat(style.fontSize) < least) wrong.push(`small: ${words}`)
      if (contrast(parent) < limits.contrast) wrong.push(`faint: ${words}`)
      if (/\$|\\[a-zA-Z]/.test(words)) wrong.push(`broken TeX: ${words}`)
      if (style.color === 'rgb(255, 0, 0)') wrong.push(`red: ${words}`)
    }

    for (const formula of section.querySelectorAll('mjx-container')) {
      const svg = formula.querySelector('svg')
      const tex = formula.getAttribute('aria-label')
      const box = svg.getBoundingClientRect()
      if (!tex) wrong.push('formula without its TeX')
      inside(box, 'formula', tex)
      // MathJax draws 1000 units to the em; Marp shrinks what is too wide
      const view = svg.viewBox.baseVal
      const em = view?.width ? ((box.width / scale) * 1000) / view.width : Infinity
      if (em < limits.formula) wrong.push(`formula small (${em.toFixed(1)} px): ${tex}`)
      if (contrast(formula) < limits.contrast) wrong.push(`faint: ${tex}`)
    }
    if (section.querySelector('[data-mml-node="merror"], mjx-merror, [data-mjx-error], [fill="red"]')) wrong.push('TeX error')

    for (const image of section.querySelectorAll('img')) {
      if (!image.complete || !image.naturalWidth) wrong.push('image missing')
      if (/^https?:/.test(image.src)) wrong.push(`image from outside: ${image.src}`)
      inside(image.getBoundingClientRect(), 'image', image.alt)
    }
    return wrong
  }
  return [...document.querySelectorAll('svg.bespoke-marp-slide section')].map(look)
}
